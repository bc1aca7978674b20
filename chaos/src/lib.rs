//! The simulated world: pure nodes driven from one seed under virtual time, and judged.
//!
//! A run has four phases: harm, heal, agreement within a stated bound, and rest. The faults are
//! drawn from the seed before anything happens; what the nodes do follows from their own rules. The
//! number of a failing seed is enough to replay it. Nothing here reads a clock, opens a socket or
//! starts a program, and a node under test cannot tell that it is in a simulation.

pub mod adversary;
pub mod anchor_habit;
pub mod bounds;
pub mod check;
pub mod cli;
pub mod dice;
pub mod disk;
pub mod fault;
pub mod habit;
pub mod invariant;
pub mod machine;
pub mod membership_bench;
pub mod network;
pub mod operator;
mod placement_bench;
pub mod profile;
pub mod programs;
pub mod queue;
pub mod replay;
pub mod run;
pub mod sabotage;
pub mod sim_node;
pub mod sometimes;
pub mod trace;
pub mod watch;
pub mod world;

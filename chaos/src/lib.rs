//! The simulated world: pure nodes driven from one seed under virtual time, and judged.
//!
//! First harm, then heal, then agreement within a stated bound, then rest. What goes wrong is
//! drawn from the seed before anything happens; what the nodes do is up to them. A failing seed
//! is replayed by its number alone. Nothing here reads a clock, opens a socket or starts a
//! program, and no node under test knows that it is.

pub mod adversary;
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

//! Drivers at work: the suite that every driver passes, and what only real processes can show.
//!
//! Real programs run here, as root or not; parts that need root or cgroups say so on stderr and
//! are skipped without them. Nothing here waits for a fixed time: conditions are polled, with a
//! deadline, and everything that was started is ended by the guard in `host`, after a failure too.

mod adoption;
mod cgroups;
mod conformance;
mod containers;
mod copies;
mod damage;
mod embedded;
mod entering;
mod health;
mod host;
mod logs;
mod refusals;
mod session;
mod sessions;
mod sessions_in_containers;
mod shelf;
mod speed;
mod starting;
mod stopping;
mod volumes;

//! Values of flags, read as Docker's command line reads them.
//!
//! Everything here is checked before a byte is sent. An error says what is wrong with the value
//! and shows one that is right; clap adds which flag it was.

mod amount;
mod constraint;
mod duration;
mod moment;
mod pair;
mod port;

pub use amount::{bytes, cpus, show_bytes, show_cpus};
pub use constraint::constraint;
pub use duration::{duration, show_duration};
pub use moment::{moment, show_moment};
pub use pair::{Pair, env, env_file, label, log_option};
pub use port::{HostPort, host_port};

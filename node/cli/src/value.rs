//! Values of flags, read as Docker's command line reads them.
//!
//! Everything here is checked before a byte is sent. An error says what is wrong with the value
//! and shows one that is right; clap adds which flag it was.

mod address;
mod amount;
mod constraint;
mod csv;
mod duration;
mod kernel;
mod moment;
mod mount;
mod pair;
mod port;

pub use address::{address, domain, extra_host, network};
pub use amount::{bytes, cpus, show_bytes, show_cpus};
pub use constraint::constraint;
pub use duration::{duration, show_duration};
pub use kernel::{
    SecurityOption, capability, device, oom_score_adj, security_option, signal, sysctl, ulimit,
};
pub use moment::{Moment, moment, show_moment};
pub use mount::mount;
pub use pair::{Pair, env, env_file, label, log_option};
pub use port::{HostPort, host_port};

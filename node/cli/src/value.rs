//! Values of flags, with the rules of Docker's command line.
//!
//! All values are checked before anything is sent. An error says what is wrong with the value and
//! shows a correct one; clap adds the name of the flag.

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

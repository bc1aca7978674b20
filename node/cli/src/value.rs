//! Values of flags, with the rules of Docker's command line.
//!
//! All values are checked before anything is sent. An error says what is wrong with the value and
//! shows a correct one; clap adds the name of the flag.

mod address;
mod amount;
mod attachment;
mod constraint;
mod csv;
mod duration;
mod generic;
pub mod go;
mod kernel;
mod moment;
mod mount;
mod pair;
mod port;
mod priority;

pub use address::{Reserved, address, domain, extra_host, ip, reserved, subnet};
pub use amount::{bytes, cpus, ratio, show_bytes, show_cpus, swap, swappiness};
pub use attachment::attachment;
pub use constraint::{affinity, constraint, preference};
pub use duration::{duration, show_duration};
pub use generic::generic_resource;
pub use kernel::{
    SecurityOption, capability, device, oom_score_adj, security_option, signal, sysctl, ulimit,
};
pub use moment::{Moment, moment, show_moment};
pub use mount::mount;
pub use pair::{Pair, env, env_file, label, log_option, map};
pub use port::{PortPattern, Published, port_pattern, published};
pub use priority::priority;

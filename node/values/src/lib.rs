//! Values as users of Docker write them, in flags and in Compose files: `8080:80`, `10m`, `1m30s`.
//!
//! An error says what is wrong with the value and shows a correct one; whoever asks adds the name of
//! the flag or the place in the file.

mod address;
mod amount;
mod attachment;
mod config;
mod constraint;
mod csv;
mod duration;
mod generic;
pub mod go;
mod kernel;
mod mount;
mod pair;
mod port;
mod priority;
mod words;

pub use address::{Reserved, address, domain, extra_host, ip, reserved, subnet};
pub use amount::{bytes, cpus, ratio, show_bytes, show_cpus, swap, swappiness};
pub use attachment::attachment;
pub use config::{config, secret};
pub use constraint::{affinity, constraint, preference};
pub use duration::{duration, show_duration};
pub use generic::generic_resource;
pub use kernel::{
    SeccompOption, SecurityOption, capability, device, oom_score_adj, security_option, signal,
    sysctl, ulimit, user_namespace,
};
pub use mount::mount;
pub use pair::{BadPair, Pair, label, log_option, map, name_and_value};
pub use port::{PortPattern, Published, port_pattern, published};
pub use priority::priority;
pub use words::{count, nearest};

//! Values of flags, with the rules of Docker's command line.
//!
//! All values are checked before anything is sent; clap adds the name of the flag to an error. What is
//! here needs this machine's clock or environment, the rest is in `node-values`.

mod env;
mod moment;

pub use env::{env, env_file};
pub use moment::{Moment, moment, show_moment};
pub use node_values::*;

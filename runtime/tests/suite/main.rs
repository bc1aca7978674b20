//! Drivers at work: the suite that every driver passes, and tests that need real processes.
//!
//! Real programs run here, as root or not; parts that need root or cgroups say so on stderr and
//! are skipped without them. Nothing here waits for a fixed time: conditions are polled, with a
//! deadline, and everything that was started is ended by the guard in `host`, after a failure too.

/// A module per OCI runtime, with each of these checks as a test on a host of its own.
macro_rules! every_runtime {
    ($($law:ident),* $(,)?) => {
        every_runtime!(@ embedded $($law)*);
        every_runtime!(@ runc $($law)*);
        every_runtime!(@ crun $($law)*);
    };
    (@ $runtime:ident $($law:ident)*) => {
        mod $runtime {
            $(#[test] fn $law() {
                let Some(mut host) = super::Host::containers(stringify!($runtime)) else { return };
                super::$law(&mut host);
            })*
        }
    };
}

mod adoption;
mod cgroups;
mod configs;
mod conformance;
mod container_groups;
mod containers;
mod copies;
mod damage;
mod embedded;
mod ends;
mod entering;
mod hanging;
mod health;
mod host;
mod logs;
mod own_users;
mod pre_start;
mod refusals;
mod secrets;
mod session;
mod sessions;
mod sessions_in_containers;
mod speed;
mod starting;
mod stopping;
mod test_images;
mod volumes;

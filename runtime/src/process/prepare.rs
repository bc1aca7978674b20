//! What a container needs before its monitor begins: its image, unpacked, and its volumes.
//! Pulling an image may take hours on a thin uplink. It never holds up another run, and ends at
//! once when nobody wants the run any more.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crdt_state::task::TaskStart;

use crate::oci::ContainerOrder;
use crate::refusal::StartError;

/// What the preparation of a container comes to.
pub type Prepared<'a> =
    Pin<Box<dyn Future<Output = Result<ContainerOrder, StartError>> + Send + 'a>>;

/// Where containers come from. It is polled on the driver's own thread, so what blocks goes to a
/// blocking one; dropped, it stops.
pub trait Prepare: fmt::Debug + Send + Sync {
    /// Fetches what a run needs. `say` is told, once, if something is not here yet: what, and from
    /// where.
    fn prepare<'a>(
        &'a self,
        start: &'a TaskStart,
        say: &'a (dyn Fn(String) + Send + Sync),
    ) -> Prepared<'a>;
}

//! What a container needs before its monitor begins: its image, unpacked, and its volumes. Pulling
//! an image may take hours on a thin uplink. It never holds up another run, and ends at once when
//! the run is no longer wanted.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crdt_state::task::TaskStart;

use crate::oci::ContainerOrder;
use crate::refusal::StartError;

/// The result of preparing a container.
pub type Prepared<'a> =
    Pin<Box<dyn Future<Output = Result<ContainerOrder, StartError>> + Send + 'a>>;

/// Prepares containers. The future is polled on the driver's own thread, so blocking work goes to
/// another thread; when dropped, it stops.
pub trait Prepare: fmt::Debug + Send + Sync {
    /// Fetches what a run needs. If something is not here yet, `say` is called once with what is
    /// fetched and from where.
    fn prepare<'a>(
        &'a self,
        start: &'a TaskStart,
        say: &'a (dyn Fn(String) + Send + Sync),
    ) -> Prepared<'a>;
}

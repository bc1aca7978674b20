//! Replaces a service's spec: the request behind update, scale and rename.

use crate::client::{CallError, Client};
use crate::output::say;
use node_docker::service::{Service, ServiceSpec, ServiceUpdated};

/// Sends a spec that replaces the one that was read. `resolve` is whether a registry is asked for
/// the digest of the image: `always`, `changed` or `never`.
pub async fn send(
    client: &mut Client,
    read: &Service,
    spec: &ServiceSpec,
    resolve: &str,
) -> Result<(), CallError> {
    let (id, version) = (&read.id, read.version.index);
    let path = format!("/services/{id}/update?version={version}&resolve={resolve}");
    let updated: ServiceUpdated = client.post(&path, spec).await?;
    for warning in &updated.warnings {
        say(format!("warning: {}", warning.trim_end()));
    }
    Ok(())
}

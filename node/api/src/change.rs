//! A change that a request asks for: carried out, carried out if it does what was expected, or only
//! tried.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::Method;
use axum::http::request::Parts;
use node_core::dry_run::{Concerned, Fate};
use node_core::edit::PlanDigest;
use node_core::{Edit, Edited, ServiceSpec};
use node_docker::dry_run::{CutRow, CutService, DryRun, TaskChange, differences};
use node_docker::node::NodeSpec;
use node_docker::state::{availability_word, show};

use super::Api;
use super::failure::Failure;

/// How a request wants its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Carried out.
    Apply,
    /// Carried out if a dry run has this digest.
    Expect(PlanDigest),
    /// Only tried.
    DryRun,
    /// The creation of an object of a file that every node has, with this origin of its id.
    FromFile([u8; 16]),
}

impl Change {
    /// Makes the change; returns once it is on this node's disk. A change that is only tried ends
    /// the request with what it would do.
    pub async fn edit(self, api: &Api, edit: Edit) -> Result<Edited, Failure> {
        match self {
            Change::Apply => api.edit(edit).await,
            Change::Expect(digest) => {
                api.edit(Edit::Expected { digest, edit: Box::new(edit) }).await
            }
            Change::FromFile(origin) => {
                api.edit(Edit::FromFile { origin, edit: Box::new(edit) }).await
            }
            Change::DryRun => {
                let tried = api.read(move |node, now| node.report(now).dry_run(&edit));
                let run = tried.await??;
                let shown = tokio::task::spawn_blocking(move || shown(&run));
                Err(Failure::DryRun(Box::new(shown.await.expect("a plan does not panic"))))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Change {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Change, Failure> {
        match parts.extensions.get::<Asked>() {
            None => Ok(Change::Apply),
            Some(Asked::DryRun) => Ok(Change::DryRun),
            Some(Asked::FromFile(origin)) => {
                let number = u128::from_str_radix(origin, 16);
                let number = number.map_err(|bad| Failure::Bad(format!("{origin}: {bad}")))?;
                Ok(Change::FromFile(number.to_be_bytes()))
            }
            Some(Asked::Expect(digest)) => {
                let digest = digest.parse::<PlanDigest>();
                Ok(Change::Expect(digest.map_err(|bad| Failure::Bad(bad.to_string()))?))
            }
        }
    }
}

/// How a request wants its change, by the path in front of its own.
#[derive(Debug, Clone)]
enum Asked {
    DryRun,
    Expect(String),
    FromFile(String),
}

/// Takes `/edge/dry-run` or `/edge/expect/DIGEST` from the front of a path that has a dry run, and
/// `/edge/from-file/ORIGIN` from that of a creation. An agent of an older version does not know such a
/// path, and does nothing.
pub fn take_prefix(mut request: Request) -> Request {
    let path = request.uri().path();
    let word = |front: &str| {
        let (word, _) = path.strip_prefix(front)?.split_once('/')?;
        Some((word.to_owned(), front.len() + word.len()))
    };
    let (asked, front) = if let Some((digest, front)) = word("/edge/expect/") {
        (Asked::Expect(digest), front)
    } else if let Some((origin, front)) = word("/edge/from-file/") {
        (Asked::FromFile(origin), front)
    } else if path.starts_with("/edge/dry-run/") {
        (Asked::DryRun, "/edge/dry-run".len())
    } else {
        return request;
    };
    let Some(uri) = super::without_front(request.uri(), front) else { return request };
    let is_for = match &asked {
        Asked::FromFile(_) => {
            let made = ["/services/create", "/networks/create", "/configs/create"];
            *request.method() == Method::POST && made.contains(&uri.path())
        }
        Asked::DryRun | Asked::Expect(_) => {
            [Method::POST, Method::DELETE].contains(request.method())
                && ["/services/", "/nodes/"].iter().any(|object| uri.path().starts_with(object))
        }
    };
    if is_for {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(asked);
    }
    request
}

fn shown(run: &node_core::DryRun) -> DryRun {
    let (of, action, changes) = match &run.concerned {
        Concerned::Service { before, after } => {
            let spec = |service: &Option<Arc<_>>| service.as_deref().map(ServiceSpec::of);
            let (before, after) = (spec(before), spec(after));
            let action = match (&before, &after) {
                (None, _) => "create",
                (_, None) => "remove",
                (before, after) if before == after => "none",
                _ => "update",
            };
            let of = after.as_ref().or(before.as_ref()).map(|spec| spec.name.clone());
            let [before, after] = [before, after].map(|spec| spec.as_ref().map(show));
            (of.unwrap_or_default(), action, differences(before.as_ref(), after.as_ref()))
        }
        Concerned::Node { id, before, after } => {
            let spec = |node: &node_core::dry_run::NodeSettings| NodeSpec {
                name: String::new(),
                labels: node.labels.clone(),
                role: "manager".to_owned(),
                availability: availability_word(node.availability).to_owned(),
            };
            let action = match (after.is_removed, before == after) {
                (true, _) => "remove",
                (false, true) => "none",
                (false, false) => "update",
            };
            let after = Some(spec(after)).filter(|_| !after.is_removed);
            (run.host(*id).to_owned(), action, differences(Some(&spec(before)), after.as_ref()))
        }
    };
    let host = |node: Option<crdt_state::NodeId>| {
        node.map(|node| run.host(node).to_owned()).unwrap_or_default()
    };
    let tasks = run.slots.iter().map(|slot| TaskChange {
        name: slot.name.clone(),
        before: host(slot.before),
        after: host(slot.after),
        fate: word(slot.fate).to_owned(),
        reason: slot.reason.clone(),
    });
    let cuts = run.cuts().into_iter().map(|cut| CutRow {
        node: run.host(cut.node).to_owned(),
        is_here: run.is_me(cut.node),
        services: cut
            .counts
            .into_iter()
            .map(|(name, others, alone)| CutService {
                name,
                alone: alone as u64,
                others: others as u64,
            })
            .collect(),
    });
    DryRun {
        name: of,
        action: action.to_owned(),
        changes,
        tasks: tasks.collect(),
        cuts: cuts.collect(),
        digest: run.digest.to_string(),
    }
}

fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Stays => "stays",
        Fate::Updates => "updates",
        Fate::Starts => "starts",
        Fate::Moves => "moves",
        Fate::Stops => "stops",
        Fate::Waits => "waits",
        Fate::Later => "later",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn taken(method: Method, path: &str) -> (String, Option<String>) {
        let request = Request::builder().method(method).uri(path).body(Body::empty());
        let request = take_prefix(request.expect("a request"));
        let asked = request.extensions().get::<Asked>().map(|asked| format!("{asked:?}"));
        (request.uri().to_string(), asked)
    }

    #[test]
    fn only_changes_of_services_and_nodes_are_tried() {
        let tried = |path: &str, rest: &str, asked: &str| {
            assert_eq!(taken(Method::POST, path), (rest.to_owned(), Some(asked.to_owned())));
        };
        tried(
            "/edge/dry-run/services/create?resolve=never",
            "/services/create?resolve=never",
            "DryRun",
        );
        tried("/edge/expect/a7a7/nodes/n1/update", "/nodes/n1/update", "Expect(\"a7a7\")");
        tried("/edge/from-file/0a/networks/create", "/networks/create", "FromFile(\"0a\")");
        for path in [
            "/services/create",
            "/edge/from-file/0a/services/web/update",
            "/edge/from-file/services/create",
            "/edge/dry-run",
            "/edge/dry-run/",
            "/edge/dry-run/networks/create",
            "/edge/dry-runs/services/create",
            "/edge/expect/services/create",
            "/edge/expect//volumes/create",
        ] {
            assert_eq!(taken(Method::POST, path), (path.to_owned(), None), "{path}");
        }
        let path = "/edge/dry-run/services/web";
        assert_eq!(taken(Method::GET, path), (path.to_owned(), None));
        assert_eq!(taken(Method::DELETE, path).0, "/services/web");
    }
}

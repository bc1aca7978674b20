//! The other nodes, as far as images are concerned: who is alive, where, and on whose side of the
//! uplink. Everything is read from this node's own view.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use crdt_state::read::NodeView;
use crdt_state::{FleetImage, NodeId, wire};
use gossip::MemberState;
use node_core::Node;
use runtime::image::{Digest, Reference};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::choice::BlobHolding;
use crate::command::Command;
use crate::transport::{PeerRequest, PeerStream, Route, Transport, WeakTransport};

/// The label that tells sites apart. Without it all nodes are one site.
const SITE_LABEL: &str = "site";

/// A peer says at once what it has; one that does not is asked for nothing more.
const ASK_DEADLINE: Duration = Duration::from_secs(3);

/// The way to other nodes. It keeps neither the node alive nor its socket open.
pub(crate) struct FleetLink {
    pub(crate) me: NodeId,
    pub(crate) transport: WeakTransport,
    pub(crate) commands: mpsc::WeakSender<Command>,
}

/// A node that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) node: NodeId,
    pub(super) addr: SocketAddr,
    /// For people.
    pub(super) name: String,
    /// On this side of the uplink.
    pub(super) is_near: bool,
}

impl Member {
    /// Images take the direct way: what one node has, others between may fetch for the site.
    pub(super) fn route(&self) -> Route {
        Route::direct(self.node, self.addr)
    }
}

impl FleetLink {
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let query = Box::new(move |node: &Node, _| {
            let _ = answer.send(query(node));
        });
        self.commands.upgrade()?.send(Command::Read(query)).await.ok()?;
        answered.await.ok()
    }
}

fn site(view: &NodeView) -> Option<&str> {
    let own = view.description.as_ref().and_then(|said| said.engine_labels.get(SITE_LABEL));
    view.labels.get(SITE_LABEL).or(own).map(String::as_str)
}

/// The members of the fleet as this node sees them: none until it is connected.
#[derive(Default)]
pub(super) struct Members {
    link: OnceLock<FleetLink>,
}

impl Members {
    /// Connects this to the fleet; later calls have no effect.
    pub(super) fn connect(&self, link: FleetLink) {
        let _ = self.link.set(link);
    }

    /// Passes a stream on to a node as a relay.
    pub(super) async fn relay(&self, to: NodeId, stream: PeerStream) {
        let Some(link) = self.link.get() else { return };
        let addr = link.read(move |node| node.gossip().member(to).map(|member| member.addr)).await;
        if let (Some(addr), Some(transport)) = (addr.flatten(), link.transport.upgrade()) {
            transport.pass_on(to, addr, stream).await;
        }
    }

    /// This node.
    pub(super) fn me(&self) -> Option<NodeId> {
        self.link.get().map(|link| link.me)
    }

    /// Everybody else who is alive.
    pub(super) async fn alive(&self) -> Vec<Member> {
        let Some(link) = self.link.get() else { return Vec::new() };
        let members = link.read(|node| {
            let me = NodeView::read(node.replica(), node.me());
            let alive = node.gossip().members().filter(|member| member.state == MemberState::Alive);
            let others = alive.map(|member| {
                let view = NodeView::read(node.replica(), member.id);
                let said = node.hostname(member.id);
                Member {
                    node: member.id,
                    addr: member.addr,
                    // Whoever has just joined has not said its name yet.
                    name: if said.is_empty() { member.id.to_string() } else { said },
                    is_near: site(&view) == site(&me),
                }
            });
            others.collect()
        });
        members.await.unwrap_or_default()
    }

    /// The image that the fleet itself has under this name.
    pub(super) async fn fleet_image(&self, reference: &Reference) -> Option<FleetImage> {
        let name = reference.canonical();
        let link = self.link.get()?;
        link.read(move |node| FleetImage::named(node.replica(), &name)).await?
    }

    /// Asks all of them at once who has a blob; who is silent has nothing.
    pub(super) async fn holders(
        &self,
        digest: &Digest,
        members: &[Member],
    ) -> Vec<(NodeId, BlobHolding)> {
        let asked = members.iter().map(|member| async move {
            let request = PeerRequest::Have(vec![digest.to_string()]);
            let answers: Vec<BlobHolding> = self.ask(member, request).await?;
            Some((member.node, *answers.first()?))
        });
        futures_util::future::join_all(asked).await.into_iter().flatten().collect()
    }

    /// A question with an answer of one frame.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        member: &Member,
        request: PeerRequest,
    ) -> Option<T> {
        let mut reply = self.transport()?.request(member.route(), request);
        let frame = timeout(ASK_DEADLINE, reply.next()).await.ok()??.ok()?;
        wire::decode(&frame).ok()
    }

    /// The same for a question that takes as long as it takes: the transport sees to it that the
    /// peer is there.
    pub(super) async fn ask_long<T: DeserializeOwned>(
        &self,
        member: &Member,
        request: PeerRequest,
    ) -> Option<T> {
        let mut reply = self.transport()?.request(member.route(), request);
        wire::decode(&reply.next().await?.ok()?).ok()
    }

    /// What carries requests, as long as it is there.
    pub(super) fn transport(&self) -> Option<Transport> {
        self.link.get()?.transport.upgrade()
    }
}

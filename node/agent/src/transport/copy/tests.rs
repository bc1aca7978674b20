//! Two machines with one key: both find the same one later. A process that meets itself finds nobody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crdt_state::NodeId;
use crdt_state::task::Run;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Said;
use crate::transport::tests::{Peer, peer};
use crate::transport::{FoundCopy, Later, PeerRequest, PeerService, PeerStream};

/// What a machine was told, and what it found.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Told(SocketAddr),
    Found(FoundCopy),
}

struct Notes(mpsc::UnboundedSender<News>);

impl PeerService for Notes {
    fn answer(&self, _: NodeId, request: PeerRequest) -> mpsc::Receiver<Vec<u8>> {
        if let PeerRequest::Copied { other } = request {
            let _ = self.0.send(News::Told(other));
        }
        mpsc::channel(1).1
    }

    fn session(&self, _: NodeId, _: Run, _: PeerStream) {}

    fn relay(&self, _: NodeId, _: NodeId, _: PeerStream) {}

    fn copy_found(&self, copy: FoundCopy) {
        let _ = self.0.send(News::Found(copy));
    }
}

fn noted(seed: u8) -> (Peer, mpsc::UnboundedReceiver<News>) {
    let (sender, news) = mpsc::unbounded_channel();
    let machine = peer(seed);
    machine.transport.serve(Arc::new(Notes(sender)));
    (machine, news)
}

async fn next(news: &mut mpsc::UnboundedReceiver<News>) -> Option<News> {
    timeout(Duration::from_secs(20), news.recv()).await.expect("in time")
}

#[tokio::test]
async fn two_machines_with_one_key_find_the_same_one_later() {
    let (first, mut of_first) = noted(1);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let (second, mut of_second) = noted(1);
    for dialler in [&first, &second] {
        let other = if std::ptr::eq(dialler, &first) { &second } else { &first };
        dialler.transport.look_for_copy(other.addr()).await;
        let at = |addr, later| Some(News::Found(FoundCopy { addr, later }));
        assert_eq!(next(&mut of_first).await, at(second.addr(), Later::Other));
        assert_eq!(next(&mut of_second).await, at(first.addr(), Later::Me));
    }
    first.transport.look_for_copy(first.addr()).await;
    first.transport.look_for_copy(peer(2).addr()).await;
    assert!(of_first.try_recv().is_err(), "neither itself nor another node is a copy");
}

#[tokio::test]
async fn who_hears_a_node_at_two_addresses_tells_both() {
    let ((first, mut of_first), (second, mut of_second)) = (noted(1), noted(1));
    let (third, mut of_third) = noted(3);
    let member = peer(2);
    member.transport.tell_copies(first.node, [first.addr(), second.addr()]);
    assert_eq!(next(&mut of_first).await, Some(News::Told(second.addr())));
    assert_eq!(next(&mut of_second).await, Some(News::Told(first.addr())));
    member.transport.tell_copies(first.node, [third.addr(), first.addr()]);
    assert_eq!(next(&mut of_first).await, Some(News::Told(third.addr())));
    assert!(of_third.try_recv().is_err(), "it has another key");
}

#[test]
fn of_two_processes_both_find_the_same_one_later() {
    let said = |up_ms, number| Said { up_ms, number };
    for (one, other) in [(said(5, 9), said(6, 1)), (said(5, 1), said(5, 2))] {
        assert_eq!(one.against(other), Some(Later::Me));
        assert_eq!(other.against(one), Some(Later::Other));
        assert_eq!(Said::from_bytes(&one.to_bytes()), Some(one));
    }
    assert_eq!(said(5, 9).against(said(70, 9)), None, "it met itself");
}

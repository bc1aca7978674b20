//! A node dies while clients on the others pull: who notices what, and for how long.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::load::{Conversation, ECHO_PORT, Load};
use crate::shop::Shop;

/// Until then every other node knows that the node is dead, and nobody is sent to its tasks: on a LAN
/// some three seconds, and as much again for a busy machine.
const KNOWN_MAX: Duration = Duration::from_secs(7);

/// Conversations with the three tasks. All of them lead to one task once in 200,000 times.
const CONVERSATIONS: usize = 12;

/// The third node loses its power. Connections to its task end, and what was begun until the others
/// knew of its death may fail; nothing else does.
pub fn check_dead_node(shop: &mut Shop) {
    let fleet = &shop.fleet;
    let port = |node: u8| SocketAddr::new(fleet.address(node).into(), 8080);
    let echo = SocketAddr::new(shop.virtual_address, ECHO_PORT);
    let http = SocketAddr::new(shop.virtual_address, 80);
    let loads = [
        Load::hasty_http("virtual address", &shop.cli[0].space, http),
        Load::hasty_http("virtual address", &shop.cli[1].space, http),
        Load::hasty_http("published port", &fleet.host(1), port(2)),
        Load::hasty_http("published port", &fleet.host(2), port(1)),
        shop.udp_by_virtual_address(1),
        shop.udp_by_virtual_address(2),
    ];
    let clients: Vec<&Path> = shop.cli[..2].iter().map(|task| task.space.as_path()).collect();
    let talk = |at: usize| Conversation::begin(clients[at % 2], echo);
    let conversations: Vec<Conversation> = (0..CONVERSATIONS).map(talk).collect();
    fleet.until("all clients are answered", || loads.iter().all(|load| load.answered() > 30));

    let died = Instant::now();
    fleet.lab.succeed(&["kill", "n3"]);
    // What runs in its task's place elsewhere is asked too.
    fleet.until("its task runs elsewhere", || {
        let tasks = fleet.tasks(1, "web");
        tasks.len() == 3 && tasks.iter().all(|task| task.node != 3)
    });
    let again: Vec<usize> = loads.iter().map(Load::answered).collect();
    fleet.until("all clients go on", || {
        let goes_on = |(load, before): (&Load, &usize)| load.answered() > before + 30;
        died.elapsed() > KNOWN_MAX + Duration::from_secs(1) && loads.iter().zip(&again).all(goes_on)
    });
    shop.await_answers(&[1, 2], 3);

    let mut last = Duration::ZERO;
    for (at, load) in loads.into_iter().enumerate() {
        let requests = load.end();
        let failed: Vec<_> = requests.iter().filter(|request| request.outcome.is_err()).collect();
        for request in &failed {
            let after = request.begun.saturating_duration_since(died);
            assert!(after < KNOWN_MAX, "load {at}: {:?} {after:?} after", request.outcome);
            last = last.max(after);
        }
        eprintln!("load {at}: {} of {} failed", failed.len(), requests.len());
    }
    assert!(last > Duration::ZERO, "nobody noticed anything: was the node asked at all?");
    eprintln!("the last request that failed began {last:?} after the death");
    let mut survived = 0;
    for conversation in conversations {
        let with = conversation.with;
        match conversation.end() {
            Ok(_) => survived += 1,
            Err(error) => assert_eq!(with, 3, "a connection to a living task ended: {error}"),
        }
    }
    assert!((1..CONVERSATIONS).contains(&survived), "{survived} of {CONVERSATIONS}");
}

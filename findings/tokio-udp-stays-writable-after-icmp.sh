#!/usr/bin/env bash
# tokio 1.54.1 on Linux: one ICMP error makes a UDP socket writable for good. After "port unreachable"
# came back, `UdpSocket::writable()` returns at once for the rest of the socket's life, also right after
# `try_io` answered that there is no room, which otherwise clears it. Whoever waits for room to send with
# it waits no longer but runs in a circle, at full speed, until there is room.
#
# Why: the kernel reports the error as EPOLLOUT together with EPOLLERR; mio reads that pair as "the end
# that writes is closed" (true of a pipe), and tokio never clears that. The error itself is taken and over.
# A connected socket meets this, and an unconnected one that asks for errors (IP_RECVERR).
#
# What is done here, on loopback: a connected UDP socket says WouldBlock for a write and then waits to be
# writable, before and after one datagram to a port where nobody listens. Seen: it waits before (0 of 100
# waits end within 10 ms), and never again afterwards (100 of 100).
#
# Needs cargo and the registry of crates.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "writable"
version = "0.0.0"
edition = "2024"

[dependencies]
tokio = { version = "=1.54.1", features = ["net", "rt", "time"] }
TOML
cat > "$folder/src/main.rs" <<'RUST'
use std::io::{Error, ErrorKind};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// How many of 100 waits for room end at once, after the socket said each time that there is none.
async fn at_once(socket: &UdpSocket) -> u32 {
    let mut ended = 0;
    for _ in 0..100 {
        let full = || Err::<(), _>(Error::from(ErrorKind::WouldBlock));
        let _ = socket.try_io(Interest::WRITABLE, full);
        let wait = tokio::time::timeout(Duration::from_millis(10), socket.writable());
        ended += u32::from(wait.await.is_ok());
    }
    ended
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let nobody = gone.local_addr().expect("its address");
        drop(gone);
        let plain = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        plain.connect(nobody).expect("connected");
        plain.set_nonblocking(true).expect("an option");
        let socket = UdpSocket::from_std(plain.try_clone().expect("a copy")).expect("known");
        socket.writable().await.expect("room");
        println!("before {}", at_once(&socket).await);

        plain.send(b"hello").expect("sent");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let error = socket.take_error().expect("readable");
        println!("error {:?}", error.map(|error| error.kind()));
        println!("after {}", at_once(&socket).await);
    });
}
RUST
cargo build --quiet --manifest-path "$folder/Cargo.toml" --target-dir "$folder/target"

seen=$("$folder/target/debug/writable")
expected=$'before 0\nerror Some(ConnectionRefused)\nafter 100'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "tokio 1.54.1 behaves otherwise now; expected:" >&2
    printf '%s\n' "$expected" >&2
    exit 1
fi

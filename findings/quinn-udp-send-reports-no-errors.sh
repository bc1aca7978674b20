#!/usr/bin/env bash
# quinn-udp 0.5.16, which quinn 0.11 sends through: `UdpSocketState::send` answers Ok when the kernel
# refused the datagram. Any error but "would block" is logged, at most once a minute, and dropped; only
# `try_send` of the same type returns it. Whoever counts what was sent by the result of `send` counts
# datagrams that never left, for instance on a machine without a route.
#
# What is done here: one datagram to 192.0.2.1 (documentation addresses) in a network namespace of its own
# without any route, where the kernel says ENETUNREACH. Seen: send Ok(()), try_send Err of errno 101.
#
# Needs cargo, the registry of crates, and the right to make a network namespace (root, or user namespaces).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "sends"
version = "0.0.0"
edition = "2024"

[dependencies]
quinn-udp = { version = "=0.5.16", default-features = false }
TOML
cat > "$folder/src/main.rs" <<'RUST'
use quinn_udp::{Transmit, UdpSocketState};

fn main() {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let state = UdpSocketState::new((&socket).into()).expect("its options");
    let to = "192.0.2.1:7946".parse().expect("an address");
    let transmit = Transmit {
        destination: to,
        ecn: None,
        contents: b"one datagram",
        segment_size: None,
        src_ip: None,
    };
    let errno = |sent: std::io::Result<()>| match sent {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    };
    println!("std {}", errno(socket.send_to(b"one datagram", to).map(drop)));
    println!("send {}", errno(state.send((&socket).into(), &transmit)));
    println!("try_send {}", errno(state.try_send((&socket).into(), &transmit)));
}
RUST
cargo build --quiet --manifest-path "$folder/Cargo.toml" --target-dir "$folder/target"

new_namespace=(unshare --net)
[ "$(id -u)" = 0 ] || new_namespace=(unshare --user --map-root-user --net)
seen=$("${new_namespace[@]}" "$folder/target/debug/sends")
expected=$'std 101\nsend 0\ntry_send 101'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "quinn-udp 0.5.16 behaves otherwise now; expected:" >&2
    printf '%s\n' "$expected" >&2
    exit 1
fi

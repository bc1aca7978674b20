#!/usr/bin/env bash
# defguard_boringtun 0.7.1, the WireGuard library of the tunnel: the documentation of `decapsulate` says
# to call it again with an empty datagram after every WriteToNetwork, until there is nothing. Who has
# packets waiting and answers a greeting that way greets at once itself: the answer gives it keys that
# it may not use before the other end has, so for the waiting packet it begins anew, and forgets with
# that the greeting that it had sent before. If the other end has packets waiting too, the two go on
# like this for several rounds.
#
# What one would guess: that the repeated call sends what waits, or nothing.
#
# What is done here: two tunnels in memory, each with one packet to send, so that their first greetings
# cross. Seen: with the call after an answer to a greeting 8 greetings, of which 6 answers or greetings
# are refused; without it 2 greetings, none refused. Both packets arrive either way.
#
# The product does not repeat the call after it answered a greeting (`overlay/tunnel/src/engine.rs`): the
# other end sends something with the new keys first, and what waits follows then.
# Needs cargo and the registry of crates.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "greets"
version = "0.0.0"
edition = "2024"

[dependencies]
defguard_boringtun = { version = "=0.7.1", default-features = false }
TOML
cat > "$folder/src/main.rs" <<'RUST'
use defguard_boringtun::noise::{Tunn, TunnResult};
use defguard_boringtun::x25519::{PublicKey, StaticSecret};

fn pair() -> [Tunn; 2] {
    let secrets = [[1; 32], [2; 32]].map(StaticSecret::from);
    let keys = [PublicKey::from(&secrets[0]), PublicKey::from(&secrets[1])];
    let [one, two] = secrets;
    [Tunn::new(one, keys[1], None, None, 1, None), Tunn::new(two, keys[0], None, None, 2, None)]
}

fn main() {
    for repeat in [false, true] {
        let [mut one, mut two] = pair();
        let mut packet = [0; 40];
        packet[0] = 0x60;
        let mut wire = Vec::new();
        let mut room = vec![0; 2000];
        for (at, tunn) in [&mut one, &mut two].into_iter().enumerate() {
            if let TunnResult::WriteToNetwork(datagram) = tunn.encapsulate(&packet, &mut room) {
                wire.push((at, datagram.to_vec()));
            }
        }
        let (mut greetings, mut refused, mut arrived, mut steps) = (0, 0, 0, 0);
        while !wire.is_empty() && steps < 1000 {
            steps += 1;
            let (from, datagram) = wire.remove(0);
            greetings += usize::from(datagram[0] == 1);
            let to = 1 - from;
            let tunn = if to == 0 { &mut one } else { &mut two };
            let mut again = false;
            match tunn.decapsulate(None, &datagram, &mut room) {
                TunnResult::WriteToNetwork(reply) => {
                    wire.push((to, reply.to_vec()));
                    again = repeat || datagram[0] != 1;
                }
                TunnResult::Done => again = true,
                TunnResult::Err(_) => refused += 1,
                _ => arrived += 1,
            }
            while again {
                match tunn.decapsulate(None, &[], &mut room) {
                    TunnResult::WriteToNetwork(more) => wire.push((to, more.to_vec())),
                    _ => again = false,
                }
            }
        }
        println!("after an answer again {repeat}: greetings {greetings} refused {refused} arrived {arrived}");
    }
}
RUST
cargo build --quiet --manifest-path "$folder/Cargo.toml" --target-dir "$folder/target"

seen=$("$folder/target/debug/greets")
expected=$'after an answer again false: greetings 2 refused 0 arrived 2\nafter an answer again true: greetings 8 refused 6 arrived 2'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "defguard_boringtun 0.7.1 behaves otherwise now; expected:" >&2
    printf '%s\n' "$expected" >&2
    exit 1
fi

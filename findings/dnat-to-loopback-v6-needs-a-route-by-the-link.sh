#!/usr/bin/env bash
# A port of ::1 can be translated to another machine, if a second local route names the way back.
#
# Linux 6.18, nftables 1.0.6. A connection to ::1 that an output chain translates to an address behind
# a veth, with the source translated too, gets no answer: the answer arrives on the veth, is
# translated back to ::1, and is dropped with Ip6InNoRoutes, because the only local route of ::1
# demands the loopback link. For 127.0.0.1 there is the setting route_localnet; IPv6 has none, and it
# is often said that ::1 therefore needs a proxy. One more route is enough:
# `ip -6 route add local ::1 dev VETH table local metric 4096`. Then the connection works.
#
# Here: published ports answer at ::1 too (overlay/linux/src/balancing/loopback.rs).
# Needs: root, iproute2, nftables, python3; no network.
set -euo pipefail
near="finding-$$-a" far="finding-$$-b"
trap 'ip netns delete "$near" 2>/dev/null || true; ip netns delete "$far" 2>/dev/null || true' EXIT
nft --version
uname -r
ip netns add "$near"
ip netns add "$far"
ip -n "$near" link add way type veth peer name way netns "$far"
for side in "$near" "$far"; do ip -n "$side" link set lo up; done
ip -n "$near" address add fd00::1/64 dev way nodad
ip -n "$far" address add fd00::2/64 dev way nodad
for side in "$near" "$far"; do ip -n "$side" link set way up; done
sleep 2
ip netns exec "$near" nft -f - <<'NFT'
table ip6 t {
    chain out { type nat hook output priority -100; ip6 daddr ::1 tcp dport 8080 dnat to [fd00::2]:80; }
    chain post { type nat hook postrouting priority 100; oifname "way" masquerade; }
}
NFT
server='import socket
s = socket.create_server(("::", 80), family=socket.AF_INET6)
while True:
    s.accept()[0].sendall(b"answered")'
ip netns exec "$far" python3 -c "$server" &
served=$!
trap 'kill "$served" 2>/dev/null || true; ip netns delete "$near" 2>/dev/null || true; ip netns delete "$far" 2>/dev/null || true' EXIT
sleep 1
client='import socket, sys
try:
    print(socket.create_connection(("::1", 8080), timeout=2).recv(16).decode())
except OSError as error:
    print("no answer:", error)'
without=$(ip netns exec "$near" python3 -c "$client")
echo "as it is:           $without"
ip -n "$near" -6 route add local ::1 dev way table local metric 4096
with=$(ip netns exec "$near" python3 -c "$client")
echo "with another route: $with"

if [[ "$without" == "no answer"* ]] && [ "$with" = "answered" ]; then
    echo "as described: the local route by the link brings the answer back"
else
    echo "changed" >&2
    exit 1
fi

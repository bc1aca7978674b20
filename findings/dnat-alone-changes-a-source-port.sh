#!/usr/bin/env bash
# A rule that translates destinations only, with no snat and no masquerade anywhere, changes the source
# port of a client that has lately reached the same server directly from the same port.
#
# Linux 6.18, nftables 1.0.6. A client connects from port 40000 to 10.9.2.2:80, and the server closes.
# Two seconds later it connects from port 40000 to 10.9.9.9:80, which a rule translates to 10.9.2.2:80.
# One would guess that the server sees port 40000 again: nothing speaks of sources. It sees another
# port: the tracked connection that has ended is remembered for 120 s, the answers of the two could not
# be told apart, so the kernel picks a free source port. A client that connects only by the translated
# address keeps its port each time.
#
# What it costs: a server remembers a port for 60 s too, with the client's clock of timestamps, which is
# another one per destination. A client that opens hundreds of connections per second to one server by
# both addresses uses all ports up, meets remembered ones with the wrong clock, and waits for a second
# now and then (`nstat TcpExtPAWSTimewait` of the server counts them).
#
# Here: `cargo xtask bench overlay` measures the two ways at two ports of the server.
# Needs: root, iproute2, nftables, python3; no network.
set -euo pipefail
client="finding-$$-a" router="finding-$$-b" server="finding-$$-c" served=
trap '[ -z "$served" ] || kill "$served"; for n in "$client" "$router" "$server"; do ip netns delete "$n" 2>/dev/null || true; done' EXIT
nft --version
uname -r
for name in "$client" "$router" "$server"; do
    ip netns add "$name"
    ip -n "$name" link set lo up
done
ip -n "$client" link add way type veth peer name left netns "$router"
ip -n "$server" link add way type veth peer name right netns "$router"
ip -n "$client" address add 10.9.1.2/24 dev way
ip -n "$router" address add 10.9.1.1/24 dev left
ip -n "$server" address add 10.9.2.2/24 dev way
ip -n "$router" address add 10.9.2.1/24 dev right
for pair in "$client way" "$router left" "$router right" "$server way"; do
    read -r name link <<< "$pair"
    ip -n "$name" link set "$link" up
done
ip -n "$client" route add default via 10.9.1.1
ip -n "$server" route add default via 10.9.2.1
ip netns exec "$router" sysctl -qw net.ipv4.ip_forward=1
ip netns exec "$router" nft -f - <<'NFT'
table ip t {
    chain pre { type nat hook prerouting priority -100; ip daddr 10.9.9.9 dnat to 10.9.2.2; }
}
NFT
serve='import socket
s = socket.create_server(("", 80))
while True:
    c, client = s.accept()
    c.sendall(str(client[1]).encode())
    c.close()'
ip netns exec "$server" python3 -c "$serve" &
served=$!
sleep 1
ask='import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", int(sys.argv[2])))
s.settimeout(10)
s.connect((sys.argv[1], 80))
print(s.recv(16).decode())
s.recv(1)'
seen() { ip netns exec "$client" python3 -c "$ask" "$1" "$2"; }
direct=$(seen 10.9.2.2 40000)
sleep 2
translated=$(seen 10.9.9.9 40000)
alone=$(seen 10.9.9.9 40002)
sleep 2
again=$(seen 10.9.9.9 40002)
echo "from port 40000 directly, the server sees:             $direct"
echo "from port 40000 by the translated address after that:  $translated"
echo "from port 40002 by the translated address, twice:      $alone $again"

if [ "$direct" = 40000 ] && [ "$translated" != 40000 ] && [ "$alone $again" = "40002 40002" ]; then
    echo "as described: the source port was changed without a rule for sources"
else
    echo "changed" >&2
    exit 1
fi

#!/usr/bin/env bash
# Linux (seen on 6.x): `sendto` on a UDP socket answers that a datagram was sent although this very machine
# dropped it, because the link's queue was full. Only a socket with IP_RECVERR set is told (ENOBUFS). The same
# holds where the table of neighbours is full: the number of bytes comes back, and nothing has left.
#
# What is done here: in a network namespace of its own the loopback link gets a queue without room (tc, pfifo
# limit 0), and one datagram is sent without IP_RECVERR and one with it. Seen: "plain sent 1", then
# "recverr ENOBUFS"; the queue counts both as dropped.
#
# Needs python3, iproute2, and the right to make a network namespace (root, or user namespaces).
set -euo pipefail

new_namespace=(unshare --net)
[ "$(id -u)" = 0 ] || new_namespace=(unshare --user --map-root-user --net)
seen=$("${new_namespace[@]}" bash -euc '
ip link set lo up
tc qdisc replace dev lo root pfifo limit 0
python3 - <<PYTHON
import errno, socket
IP_RECVERR = 11
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for name, asks in (("plain", 0), ("recverr", 1)):
    link.setsockopt(socket.IPPROTO_IP, IP_RECVERR, asks)
    try:
        print(name, "sent", link.sendto(b"x", ("127.0.0.1", 9)))
    except OSError as error:
        print(name, errno.errorcode[error.errno])
PYTHON
tc -s qdisc show dev lo | grep -o "dropped [0-9]*"
')
expected=$'plain sent 1\nrecverr ENOBUFS\ndropped 2'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "the kernel behaves otherwise; expected:" >&2
    printf '%s\n' "$expected" >&2
    exit 1
fi

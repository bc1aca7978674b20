#!/usr/bin/env bash
# nf_tables: who deletes a table that is not there waits for milliseconds, who adds and deletes it at once
# does not.
#
# Linux 6.18. A batch that is refused is undone, and the kernel makes the caller wait until every
# processor has passed a quiet moment (a grace period of RCU), though nothing was ever done. Seen: 6 to
# 14 ms for the deletion of a table that is not there, in a namespace without any rule. A batch that is
# accepted leaves that to the background: the same table added and deleted in one batch takes 0.03 ms,
# NFT_MSG_DESTROYTABLE 0.02 ms, and the question whether the table is there 0.05 ms. While a caller
# waits, others that change rules of the same namespace wait for it.
#
# What one would guess: that the refusal is the cheap case, because nothing is to be done.
#
# What is done here: each of these 50 times by netlink; the median counts. As described: refused takes
# at least 20 times as long as the slowest of the others.
#
# Here: a table that may be there is added before it is deleted, in the same batch
# (overlay/linux/src/balancing/layout.rs).
# Needs: root, python3; no network.
set -euo pipefail
uname -r
unshare --net python3 - <<'PYTHON'
import socket, struct, sys, time

NETFILTER, TABLES, IPV4 = 12, 10, 2
NEW_TABLE, GET_TABLE, DELETE_TABLE, DESTROY_TABLE = 0, 1, 2, 26
REQUEST, ACKNOWLEDGE, CREATE = 1, 4, 0x400
kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
kernel.bind((0, 0))
NAME = struct.pack("HH", 11, 1) + b"absent\0" + b"\0"

def message(kind, flags, family, resource, attributes=b""):
    body = struct.pack("BBH", family, 0, socket.htons(resource)) + attributes
    return struct.pack("IHHII", 16 + len(body), kind, flags, 1, 0) + body

def asked(data):
    """Milliseconds of one call, and the kernel's number of the last answer."""
    begun = time.perf_counter()
    kernel.send(data)
    took = (time.perf_counter() - begun) * 1000
    return took, struct.unpack_from("i", kernel.recv(65536), 16)[0]

def batch(*commands):
    inner = [message(TABLES << 8 | kind, REQUEST | flags, IPV4, 0, NAME) for kind, flags in commands]
    return message(16, REQUEST, 0, TABLES) + b"".join(inner) + message(17, REQUEST, 0, TABLES)

def median(what, data, wanted):
    calls = []
    for _ in range(50):
        took, said = asked(data)
        if said != wanted:
            sys.exit(f"changed: {what}: the kernel says {said}")
        calls.append(took)
        time.sleep(0.005)
    middle = sorted(calls)[25]
    print(f"{what}: {middle:.3f} ms")
    return middle

ENOENT = -2
refused = median("deleted, refused", batch((DELETE_TABLE, ACKNOWLEDGE)), ENOENT)
others = [
    median("added and deleted", batch((NEW_TABLE, CREATE), (DELETE_TABLE, ACKNOWLEDGE)), 0),
    median("destroyed", batch((DESTROY_TABLE, ACKNOWLEDGE)), 0),
    median("asked for", message(TABLES << 8 | GET_TABLE, REQUEST, IPV4, 0, NAME), ENOENT),
]
if refused < 20 * max(others):
    sys.exit("changed: a refused batch does not take long")
print(f"as described: a refused batch takes {refused / max(others):.0f} times as long")
PYTHON

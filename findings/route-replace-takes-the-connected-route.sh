#!/usr/bin/env bash
# `ip route replace` of a subnet takes away the route that the kernel made for an address.
#
# Linux 6.18, iproute2 6.1.0. An address with a prefix has a connected route of protocol kernel. A
# route to the same prefix over another link, written with NLM_F_REPLACE and a protocol of its own,
# replaces that connected route: the two differ in protocol, link, scope and source, but the kernel's
# key is prefix, type of service and metric. The address stays, its neighbours cannot be reached by
# their own link any more, and deleting the new route does not bring the old one back.
#
# What one would guess: that a program which only ever replaces and deletes routes of its own protocol
# number cannot harm others.
#
# Here: routes in the host's namespace are written with NLM_F_EXCL, and a conflict is reported
# (overlay/linux/src/space.rs). Inside namespaces of our own, replacing is safe.
# Needs: root, iproute2; no network.
set -euo pipefail
ns="finding-$$"
trap 'ip netns delete "$ns" 2>/dev/null || true' EXIT
ip -V
uname -r
ip netns add "$ns"
ip -n "$ns" link add one type veth peer name two
for link in one two; do ip -n "$ns" link set "$link" up; done
ip -n "$ns" address add 192.0.2.1/24 dev one
sleep 0.2
before=$(ip -n "$ns" route show 192.0.2.0/24)
echo "after the address:  $before"
ip -n "$ns" route replace 192.0.2.0/24 dev two proto 236
during=$(ip -n "$ns" route show 192.0.2.0/24)
echo "after the replace:  $during"
ip -n "$ns" route delete 192.0.2.0/24 dev two proto 236
after=$(ip -n "$ns" route show 192.0.2.0/24)
echo "after the delete:   ${after:-nothing}"
address=$(ip -n "$ns" -o -4 address show dev one)
echo "the address:        $address"

if grep -q 'proto kernel' <<<"$before" && ! grep -q 'proto kernel' <<<"$during" \
    && [ -z "$after" ] && grep -q 192.0.2.1/24 <<<"$address"; then
    echo "as described: the connected route is gone for good"
else
    echo "changed: the connected route outlives the replacement" >&2
    exit 1
fi

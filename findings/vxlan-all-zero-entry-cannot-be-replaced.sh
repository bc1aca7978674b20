#!/usr/bin/env bash
# `bridge fdb replace` of a VXLAN device's all-zero entry is refused, whether or not there is one.
#
# Linux 6.18, iproute2 6.1.0. The entry of the address 00:00:00:00:00:00 says where frames go for which
# no other entry is known. bridge(8) says of `fdb replace`: "If no matching entry is found, a new one
# will be created instead." For this address, and for those of groups, the kernel refuses it with
# "Operation not supported" when there is none, with "Cannot replace non-unicast fdb entries" when there
# is one, and also when the very same entry is there already. `add` is refused as soon as there is one
# with another destination ("File exists"). What does work each time is `append`: it creates the first,
# adds a further destination, and of what is there already it makes no second one.
#
# What one would guess: that what brings an address to a state again and again is `replace`, as for
# every other address of the same device, and that `append` twice makes two entries.
#
# Here: such entries are appended, all others are replaced (overlay/linux/src/difference.rs).
# Needs: root, iproute2; no network.
set -euo pipefail
ns="finding-$$"
said=$(mktemp)
trap 'ip netns delete "$ns" 2>/dev/null || true; rm -f "$said"' EXIT
ip -V
uname -r
ip netns add "$ns"
ip -n "$ns" link add overlay type vxlan id 7 dstport 4789 nolearning
ip -n "$ns" link set overlay up

# One change of the all-zero entry, or of another: "ok", or what the kernel says.
try() {
    local verb=$1 to=$2 mac=${3:-00:00:00:00:00:00} result
    if bridge -n "$ns" fdb "$verb" "$mac" dev overlay dst "$to" 2> "$said"; then
        result=ok
    else
        result=$(cat "$said")
    fi
    printf '%-7s %s to %s: %s\n' "$verb" "$mac" "$to" "$result"
}
seen=$(
    try replace 192.0.2.1
    try append 192.0.2.1
    try replace 192.0.2.1
    try replace 192.0.2.2
    try add 192.0.2.2
    try append 192.0.2.2
    try append 192.0.2.2
    try replace 192.0.2.1 02:00:00:00:00:01
    try replace 192.0.2.2 02:00:00:00:00:01
)
echo "$seen"
entries=$(bridge -n "$ns" fdb show dev overlay | grep -c '^00:00:00:00:00:00')
echo "all-zero entries at the end: $entries"

expected='replace 00:00:00:00:00:00 to 192.0.2.1: RTNETLINK answers: Operation not supported
append  00:00:00:00:00:00 to 192.0.2.1: ok
replace 00:00:00:00:00:00 to 192.0.2.1: Error: Cannot replace non-unicast fdb entries.
replace 00:00:00:00:00:00 to 192.0.2.2: Error: Cannot replace non-unicast fdb entries.
add     00:00:00:00:00:00 to 192.0.2.2: RTNETLINK answers: File exists
append  00:00:00:00:00:00 to 192.0.2.2: ok
append  00:00:00:00:00:00 to 192.0.2.2: ok
replace 02:00:00:00:00:01 to 192.0.2.1: ok
replace 02:00:00:00:00:01 to 192.0.2.2: ok'
if [ "$seen" = "$expected" ] && [ "$entries" = 2 ]; then
    echo "as described: the all-zero entry is only ever appended"
else
    echo "changed" >&2
    exit 1
fi

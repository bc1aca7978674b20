# Sourced by check.sh: networks on the kernel of a distribution, with what else touches links and rules
# there. The machine is the first node, a namespace the second. ufw is on, systemd-networkd takes every
# link, bridged packets pass iptables, and reverse paths are checked.
modprobe br_netfilter
sysctl -qw net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.default.rp_filter=2
ip netns add n2
ip link add wan0 type veth peer name eth0 netns n2
ip -n n2 link set lo up; ip -n n2 address add 10.99.0.2/24 dev eth0; ip -n n2 link set eth0 up
printf '[Match]\nName=wan0\n[Network]\nAddress=10.99.0.1/24\n' > /etc/systemd/network/05-wan.network
printf '[Match]\nName=*\n[Network]\nDHCP=yes\n' > /etc/systemd/network/10-all.network
systemctl start systemd-networkd
{ ufw --force enable; ufw allow proto udp to any port 4789,7946,7947,7948; } > /dev/null 2>&1
sed -i 's/127.0.0.1/10.99.0.1/' /etc/edgectl/edge.toml
until_true 30 sh -c 'ip address show wan0 | grep -q 10.99.0.1'
systemctl restart edgectl
mkdir -p /run/n2
nsenter --net=/run/netns/n2 setsid edgectl agent --fleet vm --fleet-key-file /var/lib/edgectl/fleet.key --hostname n2 \
    --data-dir /var/lib/n2 --socket /run/n2/edge.sock --listen 10.99.0.2:7946 --join 10.99.0.1 > /var/log/n2 2>&1 < /dev/null &
two_are_ready() { [ "$(edgectl node ls 2> /dev/null | grep -c Ready)" = 2 ]; }
until_true 60 two_are_ready; say $? 0 "two nodes"
edgectl -H /run/n2/edge.sock image import -c 'ENV PATH=/bin' /root/root.tar bb:1 > /dev/null 2>&1

edgectl network create --ipv6 --opt edge.multicast=true back > /dev/null
edgectl network create --opt encrypted safe > /dev/null
both="--network back --network safe --no-resolve-image --init"
serve='echo served > /tmp/index.html; exec httpd -f -p 80 -h /tmp'
create cli --constraint node.hostname==$(uname -n) $both bb:1 sleep 99999
create far --constraint node.hostname==n2 $both -p 8080:80 bb:1 sh -c "$serve"
create near --constraint node.hostname==$(uname -n) --network back --no-resolve-image --init -p 8081:80 bb:1 sh -c "$serve"
for service in cli far near; do until_true 60 runs $service; done

in_cli() { edgectl exec cli.1 sh -c "$1" 2>&1; }
# address NAME [TYPE]
address() { in_cli "nslookup ${2:+-type=$2} $1" | awk '/^Name:/ { named = 1 } named && /^Address/ { print $2; exit }'; }
asks() { [ "$(in_cli "timeout 5 wget -qO- http://$1/")" = served ]; }
# fetches URL, from the namespace in $from
fetches() { [ "$(${from:-env} timeout 5 busybox wget -qO- "http://$1/" 2> /dev/null)" = served ]; }
vni() { edgectl network inspect --format '{{index .Options "com.docker.network.driver.overlay.vxlanid_list"}}' "$1"; }
told_of_ufw() { edgectl network inspect --format '{{.Edge.Failures}}' back | grep -q 'ufw route allow'; }
not_told() { ! told_of_ufw; }
for name in far.1.back far.back far.safe near; do
    until_true 20 asks "$(address $name)"; say $? 0 "by name: $name"
done
far6=$(address far.back aaaa)
until_true 20 asks "[$far6]"; say $? 0 "by name, IPv6"
for url in 127.0.0.1:8080 10.99.0.1:8080 127.0.0.1:8081 '[::1]:8080'; do
    until_true 20 fetches "$url"; say $? 0 "published at $url"
done
until_true 30 told_of_ufw; say $? 0 "ufw drops what is forwarded, and the remedy is told"
{ ufw route allow in on ec+; ufw route allow out on ec+; } > /dev/null 2>&1
until_true 30 not_told; say $? 0 "it is typed, and not told any more"
from="nsenter --net=/run/netns/n2"
for url in 10.99.0.1:8080 10.99.0.1:8081 127.0.0.1:8081; do
    until_true 20 fetches "$url"; say $? 0 "published, from another node: $url"
done
from=

far=$(address far.1.back) safe=$(address far.1.safe)
pings() { in_cli "ping -c 3 -s $2 $1" | grep -c '3 packets received'; }
say "$(pings "$far" 1422)" 1 "a full packet of 1450 bytes"
say "$(pings "$safe" 1342)" 1 "a full packet of 1370 bytes, encrypted"
tcpdump -Z root -U -ni wan0 -w /tmp/wire udp and not port 7946 2> /dev/null & capture=$!
sleep 3; pings "$safe" 100 > /dev/null; pings "$far" 100 > /dev/null; sleep 1; kill $capture; wait $capture
seen() { tcpdump -Z root -nr /tmp/wire 2> /dev/null | grep -c "$1"; }
say "$(seen "vni $(vni safe)") $(($(seen "vni $(vni back)") >= 6)) $(($(seen '\.7947: UDP') >= 6))" "0 1 1" \
    "in clear between nodes: the encrypted network, the other one; in the tunnel"

task_of() { for space in "$1"/task/*.1; do nsenter --net="$space" ip -o address | grep -q "$2/" && echo "$space"; done; }
nsenter --net="$(task_of /run/n2/edge.networks "$far")" python3 - > /tmp/heard << 'P' &
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 5353))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4sI", socket.inet_aton("224.0.0.251"), 0))
s.settimeout(30)
print(s.recv(100).decode(), flush=True)
P
heard() {
    nsenter --net="$(task_of /run/edgectl/edgectl.networks "$(cli_address)")" python3 -c \
        'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", ("224.0.0.251", 5353))'
    grep -q hello /tmp/heard
}
cli_address() { address cli.1.back; }
until_true 25 heard; say $? 0 "multicast"

# 4789 does not pass, as behind a router that translates addresses: the detour is taken.
nft 'add table inet wall; add chain inet wall c { type filter hook prerouting priority -400; }
     add rule inet wall c iifname "wan0" udp dport 4789 drop'
detoured() { edgectl network check 2> /dev/null | grep -q 'n2 .* tunnel' && asks "$far"; }
until_true 120 detoured; say $? 0 "what UDP 4789 does not carry takes the detour"
nft delete table inet wall

repairs() { journalctl -u edgectl --no-pager | grep -c "repair what=$1"; }
whole() { asks "$far" && asks "$safe" && asks "[$far6]" && fetches 127.0.0.1:8080 && fetches 10.99.0.1:8081; }
until_true 20 whole; say $? 0 "everything answers"
in_cli "rm -f /tmp/pings"
edgectl exec -d cli.1 sh -c "ping -i 0.2 -w 20 $far > /tmp/pings; echo over >> /tmp/pings"
kill -9 "$(systemctl show -p MainPID --value edgectl)"
over() { in_cli 'cat /tmp/pings' | grep -qx over; }
until_true 60 over
# The last one may have had no time to be answered.
say "$(in_cli 'cat /tmp/pings' | sed -n 's/.*seq=\([0-9]*\) .*/\1/p' | awk '$1 != n++ { lost = 1 } END { print lost + 0, (n > 50) }')" "0 1" \
    "no ping is lost while the agent is killed"
systemctl restart systemd-networkd; networkctl reconfigure $(ls /sys/class/net | grep ^ec)
until_true 30 whole; say $? 0 "systemd-networkd has configured our links anew"
nft flush ruleset; ufw reload > /dev/null 2>&1
until_true 30 whole; say $? 0 "all tables were flushed, and ufw wrote its own again"
say "$(($(repairs links) > 0)) $(($(repairs rules) > 0))" "1 1" "both repairs are told"
printf '[Match]\nName=ec*\n[Link]\nUnmanaged=yes\n' > /etc/systemd/network/04-edgectl.network
systemctl restart systemd-networkd; sleep 3; before=$(repairs links)
systemctl restart systemd-networkd; sleep 3
say "$(repairs links)" "$before" "systemd-networkd leaves links alone that it is told to"

edgectl service rm cli far near > /dev/null
edgectl -H /run/n2/edge.sock swarm leave > /dev/null 2>&1; edgectl swarm leave > /dev/null 2>&1
left() { ls /sys/class/net | grep -c ^ec; nft list tables | grep -c edgectl; pgrep -cx edgectl-tunnel; }
nothing_left() { [ "$(left | tr '\n' ' ')" = "0 0 0 " ]; }
until_true 60 nothing_left; say "$(left | tr '\n' ' ')" "0 0 0 " "links, tables and processes that are left"

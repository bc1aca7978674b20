#!/bin/bash
# Runs as a unit in the virtual machine and prints on the console: checks a machine with systemd and
# only cgroup v2. Each line is "ok" or "FAIL" and the name of the check.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
exec > /dev/console 2>&1
failed=0
say() { if [ "$1" = "$2" ]; then echo "ok    $3"; else echo "FAIL  $3: \"$1\", should be \"$2\""; failed=1; fi; }
# until SECONDS COMMAND...
until_true() { local left=$(($1 * 2)); shift; until "$@"; do left=$((left - 1)); [ $left -le 0 ] && return 1; sleep 0.5; done; }
runs() { edgectl service ps "$1" 2>/dev/null | grep -q ' Running [0-9al]'; }
told() { edgectl service ps --no-trunc "$1" 2>/dev/null | grep -q "$2"; }
create() { edgectl service create -d -q --name "$@" > /dev/null 2>&1; }

systemctl start edgectl
until_true 30 edgectl image import -c 'ENV PATH=/bin' /root/root.tar bb:1 > /dev/null 2>&1
say "$(cat /sys/fs/cgroup/cgroup.controllers | grep -o memory)" memory "cgroup v2 has the memory controller"
say "$(edgectl doctor | grep -c 'ok *cgroups *v2, limits of memory (with swap), processors, processes')" 1 doctor

# A program without limits comes first: its settings must not apply to the tasks that follow.
create free --runtime process -- sleep 88888; until_true 30 runs free
create lim --limit-memory 32m --limit-pids 20 --limit-cpu 0.5 bb:1 sleep 77777; until_true 30 runs lim
group=$(ls -d /sys/fs/cgroup/edgectl/*/"$(basename "$(dirname "$(grep -l 77777 /var/lib/edgectl/runs/*/order.json)")")")
limits() { cat "$group"/memory.max "$group"/memory.swap.max "$group"/pids.max "$group"/cpu.max | tr '\n' ' '; }
expected="33554432 0 20 50000 100000 "
say "$(limits)" "$expected" "memory, swap, processes and processors of a container"
systemctl daemon-reload; systemctl daemon-reexec
say "$(limits)" "$expected" "the same after daemon-reload and daemon-reexec"
for file in memory.current pids.current io.stat; do
    say "$(cat /sys/fs/cgroup/edgectl/*/*/$file > /dev/null 2>&1; ls /sys/fs/cgroup/edgectl/*/*/$file | wc -l)" 2 "$file of every task"
done
create prog --limit-pids 3 --restart-condition none --runtime process -- sh -c 'for i in 1 2 3 4 5; do sleep 1000 & done; echo all'
until_true 30 told prog Failed; say $? 0 "a program beyond its processes fails"
create fork --limit-pids 20 --restart-condition none bb:1 sh -c 'i=0; while [ $i -lt 60 ]; do sleep 1000 & i=$((i+1)); done; echo all'
until_true 30 told fork Failed; say $? 0 "a container beyond its processes fails"
oom='used more memory than its limit'
create oom --restart-condition none --limit-memory 32m bb:1 dd if=/dev/zero of=/dev/null bs=64M count=1
until_true 60 told oom "$oom"; say $? 0 "64 MB within 32 MB"
dd if=/dev/zero of=/swap bs=1M count=300 status=none; chmod 600 /swap; mkswap -q /swap; swapon /swap
create swap --restart-condition none --limit-memory 32m bb:1 dd if=/dev/zero of=/dev/null bs=200M count=1
until_true 60 told swap "$oom"; say $? 0 "200 MB within 32 MB and 300 MB of swap"
edgectl service rm free lim prog fork oom swap > /dev/null
swapoff /swap; rm /swap
. /usr/local/sbin/check-overlay
echo "@@end $failed@@"
systemctl poweroff

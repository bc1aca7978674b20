#!/usr/bin/env bash
# crun 1.8.1: a process that `crun exec` starts without a terminal leads neither a session nor a process
# group, while runc 1.1.5 and the first process of a container of either do lead both. So `kill -- -PID`
# finds nobody, and whoever wants to end a command together with its children must find them by the
# session that the command is in, not by its own number.
#
# What is done here: one container of busybox each, a `sleep` by exec --detach, fields 5 and 6 of its
# /proc/PID/stat. Seen: with crun both differ from PID, with runc both are PID.
#
# Needs root, and Debian 12's packages, which are unpacked into a temporary folder and not installed.
set -euo pipefail

# crun refuses a hybrid of control groups 1 and 2: version 2 is out of sight for all that is started here.
if [ -z "${IN_OWN_MOUNTS:-}" ]; then
    IN_OWN_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi
umount /sys/fs/cgroup/unified 2> /dev/null || true

CRUN=1.8.1-1+deb12u1
RUNC=1.1.5+ds1-1+deb12u1
BUSYBOX=1:1.35.0-4+deb12u1+b1
folder=$(mktemp -d)
chmod 755 "$folder"
runtime=
end() {
    [ -z "$runtime" ] || "$runtime" --root "$folder/state" delete --force finding > "$folder/end" 2>&1 || true
    rm -rf "$folder"
}
trap end EXIT

cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root "crun=$CRUN" "runc=$RUNC" "busybox-static=$BUSYBOX" libyajl2 > downloaded
for package in *.deb; do dpkg-deb --extract "$package" tools; done
export LD_LIBRARY_PATH="$folder/tools/usr/lib/$(uname -m)-linux-gnu"
mkdir -p bundle/rootfs/{bin,dev,proc,sys,tmp}
cp tools/bin/busybox bundle/rootfs/bin/
cat > bundle/config.json <<'JSON'
{
  "ociVersion": "1.0.2",
  "process": {"terminal": false, "user": {"uid": 0, "gid": 0}, "args": ["/bin/busybox", "sleep", "60"],
              "env": ["PATH=/bin"], "cwd": "/"},
  "root": {"path": "rootfs"},
  "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
  "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]}
}
JSON

# Prints "leads" or "is in another", of its group and of its session.
look() {
    local pid=$1 group session
    read -r group session < <(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f3,4)
    [ "$group" = "$pid" ] && printf 'leads its group, ' || printf 'is in another group, '
    [ "$session" = "$pid" ] && echo 'leads its session' || echo 'is in another session'
}

seen=
for name in crun runc; do
    runtime=$(find "$folder/tools" -type f -name "$name" -perm -100 | head -1)
    "$runtime" --root "$folder/state" run --detach --bundle "$folder/bundle" --pid-file "$folder/first" finding < /dev/null > out 2>&1 \
        || { cat out >&2; exit 1; }
    "$runtime" --root "$folder/state" exec --detach --pid-file "$folder/second" finding /bin/busybox sleep 60 \
        < /dev/null > out 2>&1 || { cat out >&2; exit 1; }
    seen+="$name: the first process $(look "$(cat "$folder/first")")"$'\n'
    seen+="$name: exec's $(look "$(cat "$folder/second")")"$'\n'
    "$runtime" --root "$folder/state" delete --force finding
    runtime=
done
printf '%s' "$seen"
expected="crun: the first process leads its group, leads its session
crun: exec's is in another group, is in another session
runc: the first process leads its group, leads its session
runc: exec's leads its group, leads its session
"
if [ "$seen" != "$expected" ]; then
    echo "otherwise now; expected:" >&2
    printf '%s' "$expected" >&2
    exit 1
fi

#!/usr/bin/env bash
# crun 1.8.1: a container with a user namespace whose standard streams are the host's /dev/null changes the
# owner of that device on the host: to the host's id of the container's user. runc 1.1.5 leaves it as it was. Pipes
# and files as streams are handed over as one expects; /dev/null is one inode for the whole machine, and
# whoever starts containers in the background has it as their input.
#
# What is done here: one container of busybox each, ids 0 to 65535 mapped to 700000 and up, its program run by user 7,
# in a mount namespace where /dev/null is a node of its own. Seen: afterwards it belongs to 700007 with crun, to
# 0 with runc.
#
# Needs root, and Debian 12's packages, which are unpacked into a temporary folder and not installed.
set -euo pipefail

# The machine's /dev/null is out of reach. crun refuses a hybrid of control groups 1 and 2, so version 2 is, too.
if [ -z "${IN_OWN_MOUNTS:-}" ]; then
    IN_OWN_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi
umount /sys/fs/cgroup/unified 2> /dev/null || true

CRUN=1.8.1-1+deb12u1
RUNC=1.1.5+ds1-1+deb12u1
BUSYBOX=1:1.35.0-4+deb12u1+b1
folder=$(mktemp -d)
runtime=
end() {
    [ -z "$runtime" ] || "$runtime" --root "$folder/state" delete --force finding > "$folder/end" 2>&1 || true
    umount /dev/null 2> "$folder/end" || true
    rm -rf "$folder"
}
trap end EXIT

cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root "crun=$CRUN" "runc=$RUNC" "busybox-static=$BUSYBOX" libyajl2 > downloaded
for package in *.deb; do dpkg-deb --extract "$package" tools; done
export LD_LIBRARY_PATH="$folder/tools/usr/lib/$(uname -m)-linux-gnu"
mknod -m 666 null c 1 3
mount --bind null /dev/null

mkdir -p bundle/rootfs/{bin,dev,proc,sys,tmp}
cp tools/bin/busybox bundle/rootfs/bin/
chown -R 700000:700000 bundle
chmod 755 "$folder" bundle
cat > bundle/config.json <<'JSON'
{
  "ociVersion": "1.0.2",
  "process": {"terminal": false, "user": {"uid": 7, "gid": 7}, "args": ["/bin/busybox", "true"],
              "env": ["PATH=/bin"], "cwd": "/"},
  "root": {"path": "rootfs"},
  "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
  "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "user"}],
            "uidMappings": [{"containerID": 0, "hostID": 700000, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 700000, "size": 65536}]}
}
JSON

seen=
for name in crun runc; do
    runtime=$(find "$folder/tools" -type f -name "$name" -perm -100 | head -1)
    chown 0:0 null
    "$runtime" --root "$folder/state" run --bundle "$folder/bundle" finding < /dev/null > /dev/null 2> said \
        || { cat said >&2; exit 1; }
    seen+="$name: /dev/null belongs to $(stat -c %u /dev/null)"$'\n'
    "$runtime" --root "$folder/state" delete --force finding > "$folder/end" 2>&1 || true
    runtime=
done
printf '%s' "$seen"
expected="crun: /dev/null belongs to 700007
runc: /dev/null belongs to 0
"
if [ "$seen" != "$expected" ]; then
    echo "otherwise now; expected:" >&2
    printf '%s' "$expected" >&2
    exit 1
fi

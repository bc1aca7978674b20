#!/usr/bin/env bash
# iperf3 with -J ends with exit code 0 although nobody listens at the other end.
#
# iperf3 3.12. One would guess that a client whose connection is refused ends with an error, as it does
# without -J (exit code 1). With -J it prints an object whose `error` says "Connection refused" and whose
# `end` is empty, and ends with 0: a script that looks at the exit code takes it for a measurement.
#
# Here: `cargo xtask bench overlay` asks for the figure in the object, and tries again without it.
# Needs: iperf3, python3; loopback only.
set -euo pipefail
iperf3 --version | head -1
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
plain=0
iperf3 -c 127.0.0.1 -p "$port" -t 1 > /dev/null 2>&1 || plain=$?
json=0
said=$(iperf3 -c 127.0.0.1 -p "$port" -t 1 -J 2> /dev/null) || json=$?
error=$(python3 -c 'import json, sys; said = json.load(sys.stdin); print(said["error"], said["end"])' <<< "$said")
echo "exit code without -J: $plain"
echo "exit code with -J:    $json, and it says: $error"

if [ "$plain" = 1 ] && [ "$json" = 0 ] && [[ "$error" == *"Connection refused {}" ]]; then
    echo "as described: with -J a refused connection is no error"
else
    echo "changed" >&2
    exit 1
fi

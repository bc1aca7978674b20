#!/usr/bin/env bash
# `docker service update --env-add` sends the variables of a service in another order each time.
#
# docker.io 20.10.24 of Debian 12 (the client alone; 28.2 does the same). One would guess that variables
# keep their order and that added ones come last: the environment of a program is a list, and the API has
# one. The client puts the list through a map whenever a flag of it is given, so that even variables that
# nobody named change places, and two runs of one command send two different lists. For Swarm that is a
# change of the task's spec: a command that sets a variable to the value that it has restarts all tasks,
# sometimes. Whoever compares specs, or decides by a hash of one whether tasks must be replaced, must
# compare such lists sorted.
#
# `node/docker/src/state/accept/env.rs` keeps the order that the service has.
#
# Here: a server with one canned service of eight variables; `--env-add A0=0`, which it has, 30 times.
# Needs: apt (downloads and unpacks a package in a temporary folder), python3; loopback only.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$server" 2> /dev/null || true; rm -rf "$folder"' EXIT
server=0
cd "$folder"
apt-get download "docker.io=20.10.24+dfsg1-1+deb12u1+b6" > /dev/null 2>&1
dpkg-deb -x docker.io_*.deb client
cat > serve.py << 'PY'
import http.server, json, socketserver, sys

ENV = [f"A{number}={number}" for number in range(8)]
SERVICE = {"ID": "x1", "Version": {"Index": 1}, "Spec": {"Name": "web", "TaskTemplate": {
    "ContainerSpec": {"Image": "a:1", "Env": ENV}}, "Mode": {"Replicated": {"Replicas": 1}}}}

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass

    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.reply({})

    def do_GET(self):
        self.reply(SERVICE if "/services/" in self.path else {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open("sent", "a") as sent:
            sent.write(" ".join(body["TaskTemplate"]["ContainerSpec"]["Env"]) + "\n")
        self.reply({})

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

Server(sys.argv[1], Answer).serve_forever()
PY
python3 serve.py "$folder/socket" &
server=$!
until [ -S socket ]; do sleep 0.1; done
export DOCKER_HOST="unix://$folder/socket" DOCKER_CONFIG="$folder"
client/usr/bin/docker --version
for _ in $(seq 30); do
    client/usr/bin/docker service update -d --env-add A0=0 web > /dev/null
done
orders=$(sort -u sent | wc -l)
kept=$(grep -c '^A0=0 A1=1 A2=2 A3=3 A4=4 A5=5 A6=6 A7=7$' sent || true)
values=$(while read -r line; do tr ' ' '\n' <<< "$line" | sort | tr '\n' ' '; echo; done < sent | sort -u | wc -l)
echo "30 times the same command, which changes nothing: $orders different orders, $kept times the one it read"
head -3 sent

if [ "$orders" -gt 5 ] && [ "$kept" -lt 15 ] && [ "$values" = 1 ]; then
    echo "as described: the variables change places"
else
    echo "changed" >&2
    exit 1
fi

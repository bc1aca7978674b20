#!/bin/sh
# Three web servers behind port 8088 of every node, which count their visits in the one redis that
# they ask by its name. Start redis first.
set -eu
edgectl service create --name visits --network back --replicas 3 --publish 8088:80 --init \
    --env 'TASK=visits.{{.Task.Slot}}' --env 'NODE={{.Node.Hostname}}' \
    --read-only --limit-memory 64M visits:example

#!/bin/sh
# Figures of every node, on port 9100. It sees the node's files, and may not write to them.
set -eu
edgectl service create --name node-exporter --mode global --network host --read-only \
    --mount type=bind,source=/,target=/host,readonly,bind-propagation=rslave \
    --limit-memory 64M node-exporter:example

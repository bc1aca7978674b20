#!/bin/sh
# One Prometheus in the fleet. Start the node-exporter first.
set -eu
edgectl service create --name prometheus --network host --read-only \
    --mount type=volume,source=prometheus,target=/data --limit-memory 512M prometheus:example

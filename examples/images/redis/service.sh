#!/bin/sh
# One redis in the fleet, with its data in a volume: it stays on the node that holds the volume.
set -eu
edgectl service create --name redis --network host --read-only \
    --mount type=volume,source=redis,target=/data --limit-memory 128M redis:example

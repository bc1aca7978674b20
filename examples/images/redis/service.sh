#!/bin/sh
# One redis in the fleet, which only containers of the network `back` reach, by its name. Its data is
# in a volume: it stays on the node that holds the volume.
set -eu
edgectl network inspect back >/dev/null 2>&1 || edgectl network create back
edgectl service create --name redis --network back --read-only \
    --mount type=volume,source=redis,target=/data --limit-memory 128M redis:example

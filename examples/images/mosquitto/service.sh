#!/bin/sh
# One broker in the fleet; what it keeps for its clients is in a volume.
set -eu
edgectl service create --name mosquitto --network host --read-only \
    --mount type=volume,source=mosquitto,target=/data --limit-memory 64M mosquitto:example

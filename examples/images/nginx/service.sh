#!/bin/sh
# A web server on every node, on port 8080 of the node.
set -eu
edgectl service create --name nginx --mode global --network host \
    --limit-memory 64M --cap-drop ALL \
    --cap-add CHOWN --cap-add SETUID --cap-add SETGID --cap-add DAC_OVERRIDE \
    nginx:example

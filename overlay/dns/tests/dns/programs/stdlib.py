"""Resolves each argument with Python and prints: name, error or "ok", milliseconds, addresses."""

import socket
import sys
import time

for name in sys.argv[1:]:
    start, status, addresses = time.monotonic(), "ok", []
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        addresses = [entry[4][0] for entry in found]
    except socket.gaierror:
        status = "failed"
    print(name, status, int((time.monotonic() - start) * 1000), *addresses)

"""Ports for servers that tests start."""

import pathlib
import random
import socket

ENGINES = range(10000, 32000)  # reserve_ports() in wharf_harness.py
LEAST = 7000  # browsers refuse some below
_tokens = []


def _candidates():
    """Those that the kernel gives to connections would be taken while a server is down."""
    low, high = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    return [p for p in range(LEAST, 65536) if not low <= p <= high and p not in ENGINES]


def free_port():
    """One that nobody listens on, and that no other test is given until this process ends."""
    candidates = _candidates()
    while True:
        port, token = random.choice(candidates), socket.socket(socket.AF_UNIX)
        try:
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
            token.bind(f"\0wharf-test-port-{port}")  # an abstract name goes with its socket
        except OSError:
            token.close()
            continue
        _tokens.append(token)
        return port

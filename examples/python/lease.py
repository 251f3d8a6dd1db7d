#!/usr/bin/env python3
"""Runs a command with memory of the daemon's GPUs, as `wharf run` would.

    PYTHONPATH=python examples/python/lease.py 6GiB nvidia-smi
"""

import os
import signal
import subprocess
import sys

import wharf


def main(vram: str, *command: str) -> int:
    def waits(lease: wharf.Lease) -> None:
        print(f"place {lease.position}: {lease.waits_for}", file=sys.stderr)

    processes = []

    def revoked(lease: wharf.Lease) -> None:
        print(f"given back in {lease.grace_s} s: {lease.reason}", file=sys.stderr)
        for process in processes:
            process.send_signal(signal.SIGTERM)

    with wharf.lease(vram=vram, name=command[0], revocable=True, on_wait=waits,
                     on_revoke=revoked) as lease:
        print("on", ", ".join(d["name"] for d in lease.devices), file=sys.stderr)
        process = subprocess.Popen(command, env={**os.environ, **lease.environment})
        processes.append(process)
        return process.wait()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))

#!/usr/bin/env python3
"""Foreground before background at a gate of limit 1.

    PYTHONPATH=python examples/python/gate.py          # within this process
    PYTHONPATH=python examples/python/gate.py mlx      # the daemon's gate of that name, which
                                                       # several programs share
"""

import asyncio
import sys

import wharf


async def main(name) -> None:
    gate = wharf.Gate(1)
    log = []

    def turn(wharf_class: wharf.Class):
        return wharf.gate(name, wharf_class) if name else gate.hold(wharf_class)

    async def request(label: str, wharf_class: wharf.Class, seconds: float) -> None:
        async with turn(wharf_class):
            log.append(label)
            print(label, "is served")
            await asyncio.sleep(seconds)  # your engine

    first = asyncio.create_task(request("the first", wharf.BACKGROUND, 0.3))
    await asyncio.sleep(0.1)
    await asyncio.gather(first, *(request(f"background {i}", wharf.BACKGROUND, 0.01) for i in range(3)),
                         request("foreground", wharf.FOREGROUND, 0.01))
    assert log[:2] == ["the first", "foreground"]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:] or [None]))

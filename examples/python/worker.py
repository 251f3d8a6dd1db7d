#!/usr/bin/env python3
"""A model of your own that the daemon moves between GPU and CPU.

    PYTHONPATH=python examples/python/worker.py clip

for a configuration with

    models:
      clip: {backend: worker, devices: {cuda: {vram: 500MiB, minFree: 1GiB}, cpu: {}}}
"""

import hashlib
import logging
import sys

import wharf


class Clip:
    """Your model. With PyTorch, `to` is `self.net.to(device)`, and for None it drops the net."""

    device = "cpu"

    def to(self, device):
        print("told to go to", device, flush=True)
        self.device = device

    def embed(self, text: str) -> list:
        return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:8]]


def main(name: str) -> None:
    clip = Clip()
    expected = clip.embed("a photo of a harbour")

    def check() -> bool:
        return clip.embed("a photo of a harbour") == expected

    wharf.Worker(name, to_device=clip.to, check=check, device="cpu").run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        pass

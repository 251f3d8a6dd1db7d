#!/usr/bin/env python3
"""Two models of one program on one GPU, without a daemon: a large one, and a small one that gives way.

    PYTHONPATH=python examples/python/resource_manager.py
"""

import wharf


def load(model: str, device: str) -> None:
    print("load", model, "on", device)  # your code


def unload(model: str) -> None:
    print("unload", model)


def move(model: str, device: str) -> None:
    print("move", model, "to", device)


def main() -> None:
    broker = wharf.Broker(
        devices=[wharf.Device("cuda", "12GiB")],
        models=[wharf.Model("vlm", [wharf.Place("cuda", "10.5GiB")], ttl="5m"),
                wharf.Model("clip", [wharf.Place("cuda", "500MiB", free_min="1GiB"),
                                     wharf.Place("cpu")], movable=True, yields=True)],
        modes={"recording": {"vlm": "loaded", "clip": "cpu"},
               "autopilot": {"vlm": "unloaded", "clip": "cuda"}},
        gates={"jobs": 3}, load=load, unload=unload, move=move)
    with broker:
        broker.found("clip", "cpu")  # it is there already
        for mode in ("autopilot", "recording", "autopilot"):
            print("mode", mode)
            broker.set_mode(mode)
        broker.set_mode(None)
        with broker.enter("vlm"):  # on demand: loaded for as long as the block lasts
            print("vlm is", broker.model("vlm").state)
        with broker.lease("4GiB", gates=["jobs"]) as job:
            print("a job has 4 GiB of", job.device)


if __name__ == "__main__":
    main()

"""What a daemon says of the processes and the memory that it answers for, held against what is there."""

import contextlib

from sim_claims import living


def known(d):
    """Models' processes that the daemon knows of; None: it cannot say."""
    with contextlib.suppress(OSError, ValueError):
        return {m["pid"] for m in d.get("/wharf/models").json()["models"] if m["pid"]}
    return None


def books_agree(d, names):
    """What the daemon counts as its models' and leases', and what is claimed, with nobody at work. names:
    of its simulated devices, in order."""
    devices = {g["name"]: g for g in d.get("/wharf/devices").json()["devices"]}
    claimed = {name: sum(living(str(d.state / "sim" / str(i))).values()) for i, name in enumerate(names)}
    return all(devices[name]["own_bytes"] == claimed[name] and devices[name]["leased_bytes"] == 0 and
               devices[name]["settling_bytes"] == 0 and devices[name]["foreign_bytes"] == 0
               for name in names)

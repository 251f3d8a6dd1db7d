"""What may happen in a world, as data: each action is a name and small numbers, which mean
something in any world, since they are taken modulo what there is. So Hypothesis can drop, reorder
and shrink them at will."""

from hypothesis import strategies as st

from core import GIB, MS, NONE, S, Ask
from world import MODES

FEW = st.integers(0, 5)
RANKS = st.sampled_from(("normal", "fg", "bg"))


def pick(items, k):
    return items[k % len(items)] if items else None


def request(world, model, rank, wait_s):
    if not world.full():
        world.request(model % len(world.engines), rank, NONE if wait_s is None else wait_s * S)


def lease(world, rank, devices, gib, gates, ttl_s, revocable):
    """devices: a mask; with several, as many as it names."""
    mask = devices % 2 ** len(world.config.devices) if gib else 0
    gates %= 2 ** len(world.config.gates)
    if world.full() or (gib and not mask):
        return
    world.ask(Ask(rank, mask, bin(mask).count("1") if gib % 2 else 1, gib * GIB if mask else 0, gates,
                  ttl_s * S, revocable=revocable, grace_ns=2 * S if revocable else 0))


def leave(world, k, how):
    """A client is through, if it is inside; or it is gone, wherever it is."""
    clients = [c for c in world.clients.values() if how != "end" or c.state == "inside"]
    if clients:
        world.leave(pick(clients, k).tag, how)


def renew(world, k):
    leases = world.inside(lease=True)
    if leases:
        world.renew(pick(leases, k).tag)


def finish(world, k, how):
    ops = world.open_ops()
    if ops:
        world.finish(pick(ops, k), how)


def exit_(world, k):
    there = [i for i, e in enumerate(world.engines) if e.alive and not e.op]
    if there:
        world.exit(pick(there, k))


def command(world, what, model, placement):
    model %= len(world.engines)
    if len(world.commands) < 14:
        world.command(what, model, placement % max(1, len(world.config.models[model].placements)),
                      (0, 10 * S, NONE)[placement % 3])


def set_mode(world, mode):
    world.set_mode(mode)


def elapse(world, ms):
    world.advance(ms * MS)


def sample(world, device):
    world.sample(device % len(world.config.devices))


def snapshot(world, device):
    """A reading is taken, and told later, if ever."""
    if len(world.snapshots) < 4:
        world.snapshots.append(world.snapshot(device % len(world.config.devices)))


def late_sample(world):
    if world.snapshots:
        world.tell_sample(world.snapshots.pop(0))


def foreign(world, device, gib):
    world.set_foreign(device % len(world.config.devices), gib * GIB)


# Each with what it takes, and whether it is somebody's or something's fault.
CALM = {
    request: (FEW, RANKS, st.sampled_from((None, None, None, 0, 5))),
    lease: (RANKS, st.integers(1, 3), st.sampled_from((0, 1, 2, 3, 8)), st.integers(0, 3),
            st.sampled_from((0, 0, 10)), st.booleans()),
    leave: (FEW, st.sampled_from(("end", "end", "gone"))),
    renew: (FEW,),
    finish: (FEW, st.just(0)),
    set_mode: (st.sampled_from(tuple(MODES)),),
    elapse: (st.sampled_from((0, 100, 1000, 1000, 3000, 10000, 40000, 200000)),),
    sample: (FEW,),
}
FAULTS = {
    finish: (FEW, st.integers(1, 3)),
    exit_: (FEW,),
    snapshot: (FEW,),
    late_sample: (),
    foreign: (FEW, st.sampled_from((0, 1, 4, 12))),
}
ORDERS = {
    command: (st.sampled_from(("load", "unload", "unload-now", "move", "suspend", "pin", "unpin", "keep")), FEW, FEW),
}


def nothing(world):
    """What an action shrinks to; so that lists can be long from the start."""


def acting(*tables):
    """Any of the actions: a function and what it is given."""
    return st.one_of([st.tuples(st.just(nothing), st.just(()))] + [st.tuples(st.just(act), st.tuples(*takes)) for table in tables
                      for act, takes in table.items()])


def run(world, actions):
    for act, given in actions:
        world.advance(0)
        act(world, *given)

"""Worlds to state properties about, and the beginnings that they may have had."""

import contextlib

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import actions
from core import GIB, MIB, MS, S, Model
from world import Config, World, seed_models

SIZES = st.sampled_from((12 * GIB, 11000 * MIB, 16 * GIB, 24 * GIB))
LINGERS = st.sampled_from((0, 500 * MS, 2000 * MS))
RESIDENTS = st.sampled_from((0, 10 * S))
BATCHING = st.sampled_from(("fair", "fifo"))


def beginnings(*tables, least=8, most=25):
    """What happened before: a list of actions; all of them unless tables are named."""
    tables = tables or (actions.CALM, actions.FAULTS, actions.ORDERS)
    return st.lists(actions.acting(*tables), min_size=least, max_size=most)


def rich_models():
    """Several devices, one model that needs both, one that is pinned, one that is suspended."""
    return [*seed_models(gpus=3),
            Model("wide", dict(device_mask=3, device_count=2, bytes=6 * GIB)),
            Model("small", dict(device_mask=1, bytes=GIB), pinned=1),
            Model("sleepy", dict(device_mask=3, bytes=4 * GIB), suspends=1, ttl_ns=60 * S,
                  suspended_bytes=512 * MIB)]


def seed_config(size=12 * GIB, **settings_of_config):
    return Config(seed_models(), devices=(size,), **settings_of_config)


def rich_config(**settings_of_config):
    return Config(rich_models(), devices=(12 * GIB, 8 * GIB), gates=(1, 2), suspend_bytes=6 * GIB,
                  **settings_of_config)


@contextlib.contextmanager
def world(config, linger_ns=0):
    made = World(config)
    made.linger_ns = linger_ns
    try:
        yield made
    finally:
        made.close()


def rest(made, mode=None):
    """Whatever happened: everybody leaves, nothing is pinned by command, faults stop, and all comes
    to rest; then in that mode, if one is given."""
    made.nobody()
    for model in sorted(made.pinned):
        made.command("unpin", model)
    made.settle()
    if mode:
        made.set_mode(mode)
        made.settle()


@contextlib.contextmanager
def seed_world(begins, size=12 * GIB, linger_ns=0, mode=None, **settings_of_config):
    """The seed's world, after whatever happened in it."""
    with world(seed_config(size, **settings_of_config), linger_ns) as made:
        actions.run(made, begins)
        rest(made, mode)
        yield made


def states(**strategies):
    """A property: for all of these. `again` is the same test afresh, always with the same examples, to
    see it fail and no more."""
    def decorate(body):
        test = given(**strategies)(body)
        test.again = lambda: settings(phases=[Phase.generate], derandomize=True, database=None)(
            given(**strategies)(body))
        return test
    return decorate

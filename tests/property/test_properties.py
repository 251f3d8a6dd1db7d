"""What holds of any core, whatever happens to it. The world checks most of it after each step: nothing
is handed out twice, a lease gets all or nothing, gates keep their order, a request is answered once
and for all, nobody is lost, what is pinned stays (world.py); so these tests only have to make things
happen, in every order, and look at what is left when faults have stopped."""

import pytest

pytest.importorskip("hypothesis", reason="no Hypothesis: tools/venv installs it")

from hypothesis import settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule  # noqa: E402

import actions  # noqa: E402
from core import GIB, MIB, NONE, S, Ask  # noqa: E402
from world import VLM, World  # noqa: E402
from worlds import (BATCHING, LINGERS, RESIDENTS, beginnings, rest, rich_config, rich_models, seed_config,  # noqa: E402
                    states, world)

CONFIGS = st.sampled_from((seed_config, rich_config))
SCHEDULERS = st.sampled_from(("fair", "fifo", "serial"))
MODEL = st.integers(0, len(rich_models()) - 1)


class Machine(RuleBasedStateMachine):
    """Every action is a rule; see below."""

    made = None

    @initialize(config=CONFIGS, sched=SCHEDULERS, resident=RESIDENTS, linger=LINGERS)
    def begin(self, config, sched, resident, linger):
        self.made = World(config(sched=sched, min_resident_ns=resident))
        self.made.linger_ns = linger

    def teardown(self):
        if not self.made:
            return
        try:
            rest(self.made)
            self.made.check_nobody_waits()
            if self.made.config.sched != "serial":
                self.made.check_wishes()
        finally:
            self.made.close()


def add_rules(table):
    """A rule for each action, and one more for each that is somebody's fault."""
    for act, takes in table.items():
        def step(self, given, act=act):
            actions.run(self.made, [(act, given)])
        name = act.__name__.strip("_")
        while hasattr(Machine, name):
            name += "_too"
        setattr(Machine, name, rule(given=st.tuples(*takes))(step))


for some in (actions.CALM, actions.FAULTS, actions.ORDERS):
    add_rules(some)
TestMachine = Machine.TestCase
TestMachine.settings = settings(stateful_step_count=40)


@states(config=CONFIGS, sched=SCHEDULERS, resident=RESIDENTS, linger=LINGERS, begins=beginnings(least=25, most=60))
def test_everybody_is_served_once_faults_stop(config, sched, resident, linger, begins):
    """No overcommit, conservation, one answer each, FIFO in a class, pins: at each step. Then faults
    stop, and all who waited on are served, and all commands are answered."""
    with world(config(sched=sched, min_resident_ns=resident), linger) as w:
        actions.run(w, begins)
        w.settle()
        for model in sorted(w.pinned):
            w.command("unpin", model)
        w.settle()
        w.check_nobody_waits()


@states(config=CONFIGS, sched=BATCHING, resident=RESIDENTS, linger=LINGERS, begins=beginnings(least=25, most=60),
        mode=st.sampled_from(("recording", "autopilot")))
def test_wishes_are_reached_once_faults_stop(config, sched, resident, linger, begins, mode):
    """Whatever happened before: what the mode wants becomes so, where there is room."""
    with world(config(sched=sched, min_resident_ns=resident), linger) as w:
        w.set_mode(mode)
        actions.run(w, begins)
        rest(w)
        w.check_wishes()


@states(begins=beginnings(), gates=st.lists(st.tuples(actions.RANKS, st.integers(1, 3), st.booleans()),
                                            min_size=2, max_size=8), ends=st.lists(st.integers(0, 7)))
def test_gates_keep_their_order(begins, gates, ends):
    """Whoever comes through a gate is the first of the highest class that waits there; one slot of each
    gate at once, or none (check_gate_order looks). In the end all have been inside."""
    with world(rich_config()) as w:
        actions.run(w, begins)
        rest(w)
        granted, tags = set(), []
        for rank, mask, small in gates:
            tags.append(w.ask(Ask(rank, 1 * small, 1, 100 * MIB * small, mask if not small else mask & 1)))
        for k in ends:
            granted |= {c.tag for c in w.inside(lease=True)}
            if w.inside(lease=True):
                w.leave(actions.pick(w.inside(lease=True), k).tag)
        for _ in tags:
            granted |= {c.tag for c in w.inside(lease=True)}
            for c in w.inside(lease=True):
                w.leave(c.tag)
            for _ in range(60):  # somebody may have to leave first who was given all there is
                w.advance(S)
                w.sample(0)
                w.sample(1)
                if w.inside(lease=True):
                    break
        granted |= {c.tag for c in w.inside(lease=True)}
        w.hold(granted == set(tags), "only %s of %s came in", granted, tags)


@states(begins=beginnings(), devices=st.integers(1, 3), both=st.booleans(), mib=st.integers(1, 8000),
        rank=actions.RANKS)
def test_a_lease_gets_all_or_nothing(begins, devices, both, mib, rank):
    """While it waits it has no byte; when it is granted it has all of them, on all its devices."""
    with world(rich_config()) as w:
        actions.run(w, begins)
        rest(w)
        before = [w.core.device(d).leased_bytes for d in (0, 1)]
        count = 2 if both and devices == 3 else 1
        tag = w.ask(Ask(rank, devices, count, mib * MIB))
        w.hold(before == [0, 0], "leases that nobody has: %s", before)
        w.auto = {}
        for _ in range(120):
            client = w.clients.get(tag)
            if not client or client.state == "inside":
                break
            w.hold(all(w.core.device(d).leased_bytes == 0 for d in (0, 1)), "it waits and holds bytes")
            w.advance(S)
            w.sample(0)
            w.sample(1)
        w.hold(client and client.state == "inside", "#%d was not granted", tag)
        w.hold(sum(w.core.device(d).leased_bytes for d in (0, 1)) == count * mib * MIB, "not all of it")


@states(begins=beginnings(), loads=st.lists(st.tuples(MODEL, st.booleans()), max_size=4), model=MODEL,
        pins=st.sets(MODEL, max_size=2), rank=actions.RANKS, sched=BATCHING)
def test_a_plan_is_what_happens(begins, loads, model, pins, rank, sched):
    """What `plan` says would happen, happens when the model is asked for at once: here, granted; go,
    those it names leave and nobody else, and it comes in; never, refused."""
    with world(rich_config(sched=sched)) as w:
        actions.run(w, begins)
        rest(w, "idle")
        for m, stays in loads:
            tag = w.request(m)
            w.settle(serve=False, rounds=100)
            if tag in w.clients and not (stays and w.clients[tag].state == "inside"):
                w.leave(tag)
        for m in sorted(pins):
            w.command("pin", m)
        w.settle(serve=False)
        verdict, plan, victims = w.core.plan(model, rank)
        named = {w.name(v.model) for v in victims}
        w.core.story_lines.append("%dms plan %s %s" % (w.now // 10**6, w.name(model), rank))
        w.hold(not {v.model for v in victims} & w.pinned, "plans to put out what is pinned: %s", named)
        full = sum(c.model == model for c in w.inside()) >= w.config.models[model].policy["slots_max"]
        tag = w.request(model, rank)
        check_plan(w, tag, verdict, named, full)


def check_plan(w, tag, verdict, named, full):
    client, busy = w.clients.get(tag), {c.model for c in w.inside()}
    w.hold((verdict == "never") == (client is None), "planned: %s; and then it is %srefused", verdict,
           "not " if client else "")
    if client is None or verdict == "here":
        w.hold(client is None or full or client.state == "inside", "it is here, and not granted")
        return
    w.hold(client.state == "waiting", "planned: %s; and granted at once", verdict)
    heard = list(w.heard)
    for _ in range(60):
        if client.state == "inside" or verdict != "go" or any(w.name(m) in named for m in busy):
            break
        w.listen()
        w.advance(S)
        for d in (0, 1):
            w.sample(d)
        heard += w.heard
    left = {w.name(e.model) for e in heard if e.type in ("UNLOAD", "SUSPEND", "MOVE")
            and e.reason not in ("idle for its ttl",)}
    if verdict == "go":
        w.hold(left <= named, "%s leave, and named were %s", left, named)
        w.hold(client.state == "inside" or any(w.name(m) in named for m in busy), "planned to go, and waits")


@states(begins=beginnings(actions.CALM, actions.FAULTS), ask=st.integers(0, 24 * 1024))
def test_what_can_never_fit_is_refused_at_once(begins, ask):
    """And what could fit is not."""
    with world(seed_config()) as w:
        actions.run(w, begins)
        if w.full():
            return
        tag = w.ask(Ask("normal", 1, 1, ask * MIB))
        w.hold((tag in w.clients) == (ask * MIB <= 12 * GIB), "%d MiB of 12 GiB", ask)


@states(begins=beginnings(actions.CALM, actions.FAULTS), patience=st.integers(0, 100))
def test_patience_is_kept(begins, patience):
    """One that waits is refused when its patience ends, and not before."""
    with world(seed_config()) as w:
        actions.run(w, begins)
        w.nobody()
        w.settle()
        tag = w.request(VLM, wait_ns=patience * S)
        if tag not in w.clients or w.clients[tag].state == "inside":
            w.hold(tag in w.clients or not patience, "#%d is refused at once", tag)
            return
        w.auto = dict.fromkeys(("LOAD", "MOVE"), NONE // 4)
        w.advance(patience * S - 1)
        w.hold(tag in w.clients, "#%d is refused too early", tag)
        w.advance(1)
        w.hold(tag not in w.clients, "#%d waits for too long", tag)

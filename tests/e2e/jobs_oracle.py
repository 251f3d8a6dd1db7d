"""Judges a run of jobs_world.py by what it told while it ran, without asking the daemon why.

What is judged by: the events in their order, and the log, which says in which of the daemon's steps each
was decided and each lease was asked for, when by the daemon's own clock, and when nothing of an ended lease
was left. What is decided in one step is decided at once, however long telling it takes. When W waits, comes before G in the order and G is granted all the same, that is
lawful for one of these reasons only, which are those of leases.md and of the core's rules:

    gate      W stands at a gate that is full, or behind others at one: it lacks more than bytes.
    planned   Others are leaving for W already, and what they give up is W's.
    before    Others were leaving for G before W could have come in: what they give up is G's.
    backfill  G promised to end (run) before the first that lacks room could start, which W did not.
    settles   What leases that have ended had is enough for W, and only has to be seen to be free; others
              have left for G, which needs more.
    place     W needs more than G took, more devices or others, and does not fit; and where W is the first
              of all, there is a set of devices, the same as long as it is the first, that everything
              which passes it leaves alone, fits beside, or ends on in time (backfill).

Order is: overdue first, by deadline; then class; then arrival. A deadline's clock stands while the leases
that nobody can end leave too little; so there are moments at which only the daemon knows who is overdue.
Then nothing is said about the pair, and no more often than that (see surely_before)."""

import collections
import itertools
import re

import jobs_world
from jobs_world import CAPACITY, CLASSES, DEVICES, GATES, MAX_WAIT_S, MODELS
from wharf_harness import SLOWNESS

ROUNDED_S = 0.00001  # by the log, of the daemon's clock
# Between the daemon's clock and others', and what of it is known only about.
BLUR_S = 0.05 * SLOWNESS
# After the plan's last victim has gone; longer, and it was given up.
SETTLED_S = 0.5 * SLOWNESS
SLACK_S = 0.5 * SLOWNESS  # of a bound: what a busy machine takes to do what is decided
# Memory that the daemon sees and nobody accounts for yet: a clock that it stops stands for this long at most.
FOREIGN_S = 0.5 * SLOWNESS
FOREVER = float("inf")


class Party:
    """A lease, from the moment at which it waits."""

    def __init__(self, job, asked):
        self.job, self.arrival, self.since = job, asked.number, asked.at
        self.granted = self.ended = self.gone = FOREVER
        self.devices, self.revoked = (), FOREVER
        self.rank = CLASSES.index(job.klass)
        self.shape = (job.bytes, job.gpus, job.mask())
        self.ready, self.ready_step = self.since, self.arrival  # since when nothing but bytes has been missing
        self.clock_from = self.over = None
        self.stood = 0  # because of foreign memory
        self.leaving = []  # (from, to): while others left for it
        self.anchors, self.is_over = None, False
        self.cleared = {}  # those that it passes lawfully, as things stood when others left for it

    @property
    def gate_bound(self):
        bounds = [GATES[gate][1] for gate in self.job.gates if GATES[gate][1]]
        return self.since + min(bounds) if bounds else FOREVER

    @property
    def first_due(self):
        """When it is overdue if its clock never stands."""
        return self.since + MAX_WAIT_S[self.job.klass]

    def life(self):
        return self.gone - self.granted

    def __repr__(self):
        j = self.job
        return (f"{j.name}({j.klass} {j.bytes >> 20}MiB x{j.gpus} on {','.join(self.devices or j.mask())} "
                f"{'+'.join(j.gates)} run={j.run_s} waits since {self.since:.3f})")


class Step:
    """One of the daemon's: what was asked for, what was decided, and which leases nothing was left of before."""

    def __init__(self, number, at, ticks=False):
        self.number, self.at, self.ticks = number, at, ticks
        self.asked, self.gone = None, []


def read_log(stderr):
    """The steps; for each kind of event, the steps that decided one, in order; who was granted, in order; when
    the daemon's clock began; the longest service of a request."""
    step = Step(-1, 0)
    steps, decided, granted, known = [], collections.defaultdict(collections.deque), [], set()
    gone, began, longest, offset = [], {}, 0, FOREVER
    for line in stderr.splitlines():
        if match := re.search(r" debug step (\S+) (\w+) .* waiter=(\S+)", line):
            at, kind, waiter = float(match[1]), match[2], match[3]
            step = Step(len(steps), at, kind == "TICK")
            step.gone, gone = gone, []
            steps.append(step)
            asks = kind == "LEASE_ASKED"
            offset = min(offset, jobs_world.when(line.split()[0]) - at)
            if kind == "REQUEST_ENDED":
                longest = max(longest, at - began.pop(waiter, at))
        elif match := re.search(r" debug   -> (\w+) (\w+ )?model=.* waiter=(\S+)", line):
            effect, notice, waiter = match[1], match[2], match[3]
            if effect == "GRANT":
                began[waiter] = step.at
            elif effect in ("LEASE_WAIT", "LEASE_GRANT") and asks and not step.asked and waiter not in known:
                step.asked = waiter
                known.add(waiter)
            elif effect == "NOTICE":
                decided[notice.strip()].append(step)
                if notice == "lease_granted ":
                    granted.append(waiter)
        elif match := re.search(r" debug lease (\w+): none of its processes is left", line):
            gone.append(match[1])
    return steps, decided, granted, offset, longest


def sites(job):
    return [frozenset(site) for site in itertools.combinations(job.mask(), job.gpus)]


class Oracle:
    def __init__(self, world, stderr):
        self.jobs = {job.name: job for job in [*world.jobs, *world.retries]}
        self.events = world.events
        self.steps, self.decided, self.granted, offset, self.service_s = read_log(stderr)
        self.requests = [(klass, asked - offset, ended - offset) for _, klass, asked, ended in world.requests]
        self.problems, self.passes, self.bounds = [], collections.Counter(), []
        self.overdue_grants = collections.Counter()
        self.parties, self.waiting, self.inside = {}, {}, {}
        self.models, self.now, self.ticked, self.step, self.entered = {}, 0, 0, None, 0
        self.open_s = collections.Counter()  # of each shape: how long it could have been served, so far
        self.loads, self.loads_of = collections.defaultdict(float), collections.Counter()

    def judge(self):
        self.meet()
        for event in self.events:
            if "step" not in event:  # told of what is told with another
                continue
            self.enter(event["step"])
            handler = getattr(self, "on_" + event["type"], None)
            if handler:
                handler(event["details"])
            self.check_room()
        for step in self.steps[self.entered:]:
            self.enter(step)
        if self.waiting or self.inside:
            self.fault(f"left: {self.waiting} {self.inside}")
        self.judge_bounds()
        return self

    def enter(self, step):
        """All that came with the steps up to this one, before what was decided in it."""
        for self.step in self.steps[self.entered:step.number + 1]:
            self.pass_to(self.step.at)
            if self.step.ticks:
                self.ticked = self.now
            for id_ in self.step.gone:
                self.inside.pop(id_, None)
            if self.step.asked in self.asking:
                self.come(*self.asking[self.step.asked])
        self.entered = max(self.entered, step.number + 1)

    def fault(self, text):
        self.problems.append(f"{self.now:.3f}: {text}")

    # -- what is known only afterwards

    def meet(self):
        """All parties with their times; who left for whom."""
        by_id, going, left = {}, {}, collections.defaultdict(list)
        asked = {step.asked: step for step in self.steps if step.asked}
        granted = iter(self.granted)
        self.asking = {}
        for event in self.events:
            if event["type"] not in self.decided:
                continue
            event["step"] = self.decided[event["type"]].popleft()
            details, at = event["details"], event["step"].at
            id_ = details.get("lease")
            if event["type"] == "lease_granted":
                waiter = next(granted)
                party = by_id[id_] = Party(self.jobs[details["name"]], asked[waiter])
                party.granted, party.devices = at, tuple(details.get("devices", ()))
                self.asking[waiter] = id_, party
            elif event["type"] == "lease_revoked":
                by_id[id_].revoked = at
            elif event["type"] == "lease_ended":
                by_id[id_].ended = by_id[id_].gone = at
            elif event["type"] == "evicted" and "for_lease" in details:
                going[details["model"]] = (details["for_lease"], at)
            elif event["type"] == "settled" and details["model"] in going:
                id_, began = going.pop(details["model"])
                left[id_].append((began - self.service_s - BLUR_S, at + SETTLED_S))
        if any(self.decided.values()):
            self.fault(f"decided, and not told: { {kind: len(v) for kind, v in self.decided.items() if v} }")
        self.parties = by_id
        for id_, times in left.items():
            by_id[id_].leaving += times
        for step in self.steps:
            for id_ in step.gone:
                by_id[id_].gone = step.at
        revoked = [p for p in by_id.values() if p.revoked < FOREVER]
        for p in by_id.values():
            p.leaving += [(r.revoked, r.gone + SETTLED_S) for r in revoked if self.may_be_for(r, p)]

    @staticmethod
    def may_be_for(revoked, party):
        at = revoked.revoked
        return (party.job.bytes and party.since <= at <= party.granted and set(revoked.devices) & set(party.job.mask())
                and (party.rank < revoked.rank or party.first_due <= at + BLUR_S))

    # -- how it goes on

    def pass_to(self, at):
        """Time in which a shape could have been served, whoever else had left."""
        step = at - self.now
        if self.now and step > 0:
            for shape in {p.shape for p in self.waiting.values() if p.job.bytes}:
                if self.could_be_served(shape):
                    self.open_s[shape] += step
        self.now = max(self.now, at)
        for p in self.waiting.values():
            if p.over is None and self.surely_overdue(p):
                self.turn_overdue(p)

    def could_be_served(self, shape):
        bytes_, gpus, mask = shape
        return sum(CAPACITY - self.fixed(d) >= bytes_ for d in mask) >= gpus

    def fixed(self, device):
        """Held there by those that nobody can end: leases that cannot be revoked, and what is left of any."""
        return sum(p.job.bytes for p in self.inside.values()
                   if device in p.devices and (not p.job.grace_s or p.is_over))

    def come(self, id_, party):
        self.waiting[id_] = party
        party.clock_from = self.open_s[party.shape]
        self.note_gates()
        if party.job.bytes and party.ready <= self.now:
            self.choose_anew(party)

    def on_blocked(self, details):
        """Its clock stands: by the leases alone, or by what else is in the way, which only the daemon knows."""
        party = self.waiting.get(details.get("lease"))
        if party and self.could_be_served(party.shape):
            party.stood += FOREIGN_S

    def on_lease_ended(self, details):
        party = self.parties[details["lease"]]
        party.is_over = True
        if not party.job.bytes:
            del self.inside[details["lease"]]
        self.note_gates()

    def on_lease_granted(self, details):
        id_ = details["lease"]
        party = self.parties[id_]
        self.waiting.pop(id_, None)
        want = (party.job.gpus if party.job.bytes else 0, party.job.bytes)
        if (len(party.devices), details.get("bytes", 0)) != want or set(party.devices) - set(party.job.mask()):
            self.fault(f"{party} got {details}")
        self.judge_gates(party)
        if party.job.bytes:
            self.judge_order(party)
        self.inside[id_] = party
        self.overdue_grants[party.job.klass] += party.over is not None
        self.note_gates()

    def on_model_loading(self, details):
        self.models[details["model"]] = (tuple(details["devices"]), details["bytes"])

    def on_model_loaded(self, details):
        self.loads_of[details["model"]] += 1
        self.loads[details["model"]] = max(self.loads[details["model"]], details["seconds"])

    def on_model_unloaded(self, details):
        self.models.pop(details["model"], None)

    def check_room(self):
        """What has been granted, until nothing of it is left, with models from their load to their end."""
        for device in DEVICES:
            leased = sum(p.job.bytes for p in self.inside.values() if device in p.devices)
            own = sum(bytes_ for devices, bytes_ in self.models.values() if device in devices)
            if leased + own > CAPACITY:
                self.fault(f"{device}: leases {leased} and models {own} of {CAPACITY}: {list(self.inside.values())}")

    # -- gates

    def at_gate(self, gate):
        return [p for p in self.inside.values() if gate in p.job.gates and not p.is_over]

    def gate_before(self, a, b):
        """Surely, at a gate of both. Bounds pass with the daemon's ticks."""
        late_a, late_b = (p.gate_bound <= self.ticked for p in (a, b))
        if any(abs(p.gate_bound - self.ticked) <= ROUNDED_S for p in (a, b)):
            return False
        if late_a or late_b:
            return late_a and (not late_b or a.gate_bound < b.gate_bound - ROUNDED_S)
        return (a.rank, a.arrival) < (b.rank, b.arrival)

    def judge_gates(self, party):
        for gate in party.job.gates:
            if len(self.at_gate(gate)) >= GATES[gate][0]:
                self.fault(f"{party} came in at {gate}, which was full: {self.at_gate(gate)}")
            for other in self.waiting.values():
                if gate in other.job.gates and self.gate_before(other, party):
                    self.fault(f"{party} came in at {gate} before {other}")

    def gates_open(self, party):
        """Surely: at the head of all its gates, with room in each."""
        others = [p for p in self.waiting.values() if p is not party]
        return all(len(self.at_gate(gate)) < GATES[gate][0]
                   and all(gate not in p.job.gates or self.gate_before(party, p) for p in others)
                   for gate in party.job.gates)

    def note_gates(self):
        for p in self.waiting.values():
            if p.job.gates and not self.gates_open(p):
                p.ready, p.anchors = FOREVER, None
            elif p.ready == FOREVER:
                p.ready, p.ready_step = self.now, self.step.number
                self.choose_anew(p)

    def choose_anew(self, newcomer):
        """Who has to, since this one may have taken the devices for itself."""
        for p in self.waiting.values():
            if p.anchors and p is not newcomer and not self.surely_before(p, newcomer):
                p.anchors = None

    # -- order

    def clock(self, party):
        """How long its clock has run, at least."""
        ran = self.open_s[party.shape] - party.clock_from if party.clock_from is not None else 0
        return max(0, ran - party.stood)

    def surely_overdue(self, party):
        return bool(party.job.bytes) and self.clock(party) >= MAX_WAIT_S[party.job.klass] + BLUR_S

    def surely_before(self, a, b):
        may_a, may_b = (p.first_due <= self.now + BLUR_S for p in (a, b))
        base = (a.rank, a.arrival) < (b.rank, b.arrival)
        if not may_b:
            return base or self.surely_overdue(a)
        # b may be overdue, for all that is known: a is before it only with an earlier deadline.
        last_due = a.first_due + (self.now - a.since - self.clock(a))
        return may_a and self.surely_overdue(a) and last_due + BLUR_S < b.first_due

    def competing(self):
        return [p for p in self.waiting.values() if p.job.bytes and p.ready <= self.now]

    def first_of(self, competing):
        """The one that surely comes before all others that could take its devices; None: not known."""
        if self.request_may_be_overdue():
            return None
        first = None
        for p in competing:
            if first is None or not self.surely_before(first, p):
                first = p
        ahead = [p for p in self.waiting.values() if p.job.bytes and p is not first]
        return first if first and all(self.surely_before(first, p) for p in ahead) else None

    def request_may_be_overdue(self):
        return any(asked + MAX_WAIT_S[klass] <= self.now + BLUR_S and ended >= self.now - BLUR_S
                   for klass, asked, ended in self.requests)

    def is_left_for(self, party, since=None):
        return any(begin <= (self.now if since is None else since) and self.now <= end
                   for begin, end in party.leaving)

    def on_evicted(self, details):
        """Others leave for it: that it may come in was decided now, at the latest."""
        if "for_lease" in details:
            self.judge_order(self.parties[details["for_lease"]], decided=True)

    def on_lease_revoked(self, details):
        """Nobody says for whom: for any of these it may have been decided now that it may come in."""
        revoked = self.parties[details["lease"]]
        for party in [p for p in self.waiting.values() if p.devices and self.may_be_for(revoked, p)]:
            kept = {p: p.anchors for p in self.waiting.values()}
            self.judge_order(party, decided=True)
            for p, anchors in kept.items():
                p.anchors = anchors

    def judge_order(self, granted, decided=False):
        competing = self.competing()
        first = self.first_of(competing)
        for p in competing:
            if p is not first or self.is_left_for(p):
                p.anchors = None  # another may have taken its devices; it chooses anew
        for waiter in self.waiting.values():
            if (waiter.job.bytes and set(waiter.job.mask()) & set(granted.devices)
                    and self.surely_before(waiter, granted)):
                why = granted.cleared.get(waiter) or self.why_passed(waiter, granted, competing, first)
                if decided:
                    granted.cleared[waiter] = why
                    continue
                self.passes[why or "unlawful"] += 1
                if not why:
                    self.fault(f"{granted} was granted before {waiter}"
                               f"{', the first of all' if waiter is first else ''}")

    def why_passed(self, waiter, granted, competing, first):
        opened_now = waiter.job.gates and waiter.ready_step == self.step.number
        if waiter.ready == FOREVER or opened_now:
            return "gate"
        if self.is_left_for(waiter):
            return "planned"
        if self.is_left_for(granted, since=waiter.ready):
            return "before"
        place = set(granted.devices) & set(waiter.job.mask())
        if waiter.job.bytes <= granted.job.bytes and len(place) >= waiter.job.gpus:
            could_too = waiter.job.run_s and waiter.job.run_s <= granted.job.run_s if granted.job.run_s else True
            kept = {d for d in place if any(d in anchor.job.mask() and self.ends_in_time(granted, anchor, d)
                                            for anchor in competing)}
            if len(place - kept) < waiter.job.gpus and not could_too:
                return "backfill"
            return "settles" if self.is_left_for(granted) and self.comes_free_for(waiter) else None
        if waiter is not first:
            return "place"
        before = waiter.anchors or sites(waiter.job)
        waiter.anchors = [site for site in before if all(self.leaves_room(granted, waiter, d)
                                                         for d in site & set(granted.devices))]
        return "place, beside the first" if waiter.anchors else None

    def comes_free_for(self, waiter):
        """Whether what ended leases had is enough for it as soon as it is seen to be free."""
        def free(device):
            staying = sum(p.job.bytes for p in self.inside.values() if device in p.devices and not p.is_over)
            own = sum(bytes_ for devices, bytes_ in self.models.values() if device in devices)
            return CAPACITY - staying - own
        went = {d for p in self.parties.values() for d in p.devices
                if p.job.bytes and p.is_over and p.gone > self.now - SETTLED_S}
        return sum(free(d) >= waiter.job.bytes for d in waiter.job.mask() if d in went) >= waiter.job.gpus

    def leaves_room(self, granted, anchor, device):
        beside = self.fixed(device) + granted.job.bytes + anchor.job.bytes <= CAPACITY
        return beside or self.ends_in_time(granted, anchor, device)

    def ends_in_time(self, granted, anchor, device):
        """Whether its end, as promised, is before the anchor's start, as the others have promised theirs."""
        if not granted.job.run_s:
            return False
        end = self.now + granted.job.run_s
        held = sum(p.job.bytes for p in self.inside.values() if device in p.devices and p.job.run_s
                   and not p.is_over and p.granted + p.job.run_s > end - BLUR_S)
        return CAPACITY - held < anchor.job.bytes

    # -- bounds

    def turn_overdue(self, party):
        """What may go before it from now on: what is under way, who is due earlier, each model once."""
        mask = set(party.job.mask())
        under_way = [p for p in self.inside.values() if mask & set(p.devices)]
        earlier = [p for p in self.waiting.values() if p is not party and p.job.bytes and
                   mask & set(p.job.mask()) and not self.surely_before(party, p)]
        party.over = (self.now, self.clock(party), under_way, earlier)

    def judge_bounds(self):
        models_s = sum(2 * self.loads[m] + max(self.loads[m], jobs_world.MIN_RESIDENT_S, self.service_s)
                       for m in MODELS) + self.service_s
        for p in self.parties.values():
            if p.over and not p.job.gates:
                at, _, under_way, earlier = p.over
                allowed = models_s + max([q.gone - at for q in under_way], default=0)
                allowed += sum(q.life() for q in earlier)
                self.hold(p, p.granted - at, allowed)
            elif p.job.gates == ("aged",) and p.granted > p.gate_bound:
                ahead = [q for q in self.parties.values() if q is not p and "aged" in q.job.gates
                         and q.ended > p.gate_bound and (q.granted <= p.gate_bound or q.gate_bound < p.gate_bound)]
                self.hold(p, p.granted - p.gate_bound, sum(q.ended - max(q.granted, p.gate_bound) for q in ahead))

    def hold(self, party, over_s, allowed_s):
        self.bounds.append((over_s, allowed_s))
        if over_s > allowed_s + SLACK_S:
            self.problems.append(f"{party} was overdue for {over_s:.3f} s, of {allowed_s:.3f}")

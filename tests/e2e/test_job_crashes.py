"""kill -9 of `wharf run`, of its guard and its command, and of the daemon, at random moments under load.

Everything comes from one seed, which is printed: $WHARF_CRASH_SEED, and $WHARF_CRASH_KILLS for how
often. It decides what the jobs are, and of each kill the moment, whose turn it is, and which of those
that are there. A moment is the n-th event of a kind plus a few milliseconds, which are the
randomness itself and wait for nothing.

What has to hold: docs/reliability.md, "Jobs and crashes".
"""

import collections
import os
import random
import re
import threading
import time

import pytest

from crashes import BEHIND, CAPACITY, GATES, Load, live_claims
from leases import Lease, device, gpu, listed
from wharf_harness import SECONDS, SLOWNESS, demo, until

KILLS = int(os.environ.get("WHARF_CRASH_KILLS", 40))
JOBS_AT_ONCE = 6
MODELS = {"small": "2GiB", "large": "5GiB"}
GRACE_S = 5 * SLOWNESS
CUT = r"the connection to wharf at \S+ failed|closed the connection without an answer|ended its answer before"
# Answers while a daemon starts, ends, or has no room; no answer at all comes besides.
LAWFUL = {200, 409, 429, 502, 503}
KINDS = ["run"] * 5 + ["guard"] * 5 + ["command"] * 3 + ["background", "witness", "both"] + ["daemon"] * 4
MOMENTS = ["lease_granted"] * 6 + ["waiting"] * 2 + ["lease_ended"] * 3 + ["lease_revoked"] * 2 + [None] * 3


def config():
    return {"gpus": [gpu("gpu0", "12GiB"), gpu("gpu1", "12GiB")],
            "gates": {name: {"limit": limit} for name, limit in GATES.items()},
            "leaseGrace": f"{GRACE_S:g}s",
            "classes": {"foreground": {"maxWait": "300ms"}, "normal": {"maxWait": "1s"}},
            "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}},
            "models": {name: demo(name, "--load-time", "10ms", vram=size) for name, size in MODELS.items()}}


class Life:
    """Of one daemon: its events from the first on, and the leases that it has from the one before."""

    def __init__(self, d):
        self.feed = d.events(last_event_id=0)
        self.kept = {lease["id"]: lease for lease in listed(d)}

    def leases(self):
        """(type, details) of grants and ends, in order."""
        with self.feed.changed:
            return [(e["type"], e["details"]) for e in self.feed.seen
                    if e["type"] in ("lease_granted", "lease_ended")]


class Watch:
    """Looks on, again and again, until it is told to stop; what goes wrong is told at the end."""

    def __init__(self, look):
        self.look, self.problems, self.samples = look, [], 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(0.005):
            try:
                self.samples += self.look()
            except Exception as e:
                self.problems.append(e)
                return

    def stop(self):
        self.stopping.set()
        self.thread.join(3 * SECONDS)
        assert not self.thread.is_alive()
        if self.problems:
            raise self.problems[0]


def look_at_truth(d):
    """What the simulated GPUs themselves have, whatever wharf believes."""
    for i in range(2):
        claims = live_claims(d.state / "sim" / str(i))
        assert sum(b for _, b in claims) <= CAPACITY, f"gpu{i} has more than it has: {claims}"
    return 1


def look_at_books(d):
    """What the daemon says that it has granted."""
    try:
        leases, devices = (d.get(p) for p in ("/wharf/leases", "/wharf/devices"))
    except OSError:
        return 0
    if leases.status != 200 or devices.status != 200 or not leases.complete or not devices.complete:
        return 0
    check_gates(leases.json()["leases"])
    granted = collections.Counter()
    for lease in leases.json()["leases"]:
        for name in lease["devices"] or [] if lease["state"] != "waiting" else []:
            granted[name] += lease["bytes"]
    assert all(b <= CAPACITY for b in granted.values()), leases.json()
    for dev in devices.json()["devices"]:
        assert dev["leased_bytes"] <= CAPACITY and dev["room_bytes"] <= CAPACITY, dev
    return 1


def check_gates(leases):
    inside = collections.Counter(g for l in leases if l.get("state") in (None, "granted", "revoked")
                                 for g in l.get("gates") or [])
    assert all(n <= GATES[gate] for gate, n in inside.items()), f"{inside}: {leases}"


class Chat:
    """Somebody who asks a model again and again."""

    def __init__(self, d, name):
        self.d, self.name, self.answers = d, name, collections.Counter()
        self.watch = Watch(self.ask)

    def ask(self):
        try:
            answer = self.d.chat(self.name, headers={"X-Wharf-Class": "normal"}, seconds=4 * SECONDS)
        except OSError as e:
            assert not isinstance(e, TimeoutError), f"{self.name} was not answered"
            self.answers["cut"] += 1
            return 0
        assert answer.status in LAWFUL, answer
        self.answers[answer.status] += 1
        return 1


class Killer:
    def __init__(self, d, load, seed):
        self.d, self.load, self.seed = d, load, seed
        self.lives = [Life(d)]
        self.absences = []  # (from, to): no daemon was there
        self.count = collections.Counter()

    def moment(self, rng):
        """Returns with the job that it is about, if any."""
        wanted, n = rng.choice(MOMENTS), rng.randint(1, 3)
        delay = rng.choice([0, rng.uniform(0, 0.008), rng.uniform(0, 0.08)])
        feed = self.lives[-1].feed
        name = None
        with feed.changed:
            seen = len(feed.seen)

            def found():
                return [e for e in feed.seen[seen:] if wanted is None or e["type"] == wanted]
            # Where nothing of that kind comes, what has come by then is the moment.
            feed.changed.wait_for(lambda: len(found()) >= n or feed.ended, 0.5 * SLOWNESS)
            if wanted and found():
                name = found()[-1]["details"].get("name")
        if delay:
            time.sleep(delay)  # the randomness itself
        with self.load.changed:
            return self.load.live.get(name)

    def candidates(self, kind, job):
        """(job, processes of it) of that kind; those of the moment's own job if there are any."""
        with self.load.changed:
            jobs = [j for j in self.load.live.values() if j.process]
        for some in ([job] if job and job.process else [], jobs):
            found = [(j, j.roles()) for j in some]
            found = [(j, r) for j, r in found
                     if (kind in r if kind != "both" else "run" in r and "guard" in r)]
            if found:
                return [(j, r["run"][-1:] + r["guard"] if kind == "both" else r[kind]) for j, r in found]
        return []

    def kill_daemon(self, rng):
        self.load.set_up(False)
        began = time.monotonic()
        self.d.kill()
        self.lives[-1].feed.thread.join(SECONDS)
        time.sleep(rng.choice([0, rng.uniform(0, 0.3)]))  # the randomness itself: how long none is there
        self.d.start()
        self.lives.append(Life(self.d))
        self.absences.append((began, time.monotonic()))
        self.load.set_up(True)
        return True

    def kill_one(self, kind, share, job):
        found = self.candidates(kind, job)
        if not found:
            return False
        job, victims = found[int(share * len(found))]
        if kind != "both":
            victims = [victims[int(share * len(victims))]]
        roles = ["run", "guard"] if kind == "both" else [kind]
        # Noted before: what it brings about may be seen at once.
        job.killed += roles
        killed = [v.kill(job.mark) for v in victims]
        # Shown when the test fails.
        print(f"{time.monotonic_ns()} kill {kind} of {job.name}: {[(v.pid, v.comm) for v in victims]} {killed}")
        if not any(killed):
            del job.killed[-len(roles):]
        if job.is_orphaned:
            self.end_orphan(job)
        return any(killed)

    def end_orphan(self, job):
        """Nobody is left to end what the command has moved away; the command itself ends."""
        until(lambda: all(p.comm == BEHIND for p in job.marked()), f"the command's end: {job.describe()}")
        for p in job.marked():
            p.kill(job.mark)

    def go(self, kills):
        for k in range(kills):
            rng = random.Random(f"{self.seed} kill {k}")
            kind, share = rng.choice(KINDS), rng.random()
            deadline = time.monotonic() + 6 * SECONDS
            done = False
            while not done:
                assert time.monotonic() < deadline, f"nothing to kill: {kind}, {self.count}"
                self.load.check()
                assert self.d.process.poll() is None, f"the daemon has ended: {self.d.stderr[-3000:]}"
                job = self.moment(rng)
                done = self.kill_daemon(rng) if kind == "daemon" else self.kill_one(kind, share, job)
            self.count[kind] += 1


def replay(lives):
    """The leases' grants and ends in all lives: exactly one end for each grant, and never more inside
    of a gate, or on a device, than there is. What a daemon did in its last moment may not have been
    told; then the next one's list says what it was."""
    inside, granted, ended, untold = {}, set(), set(), 0

    def check():
        check_gates(inside.values())
        bytes_ = collections.Counter()
        for lease in inside.values():
            for name in lease.get("devices") or []:
                bytes_[name] += lease["bytes"]
        assert all(b <= CAPACITY for b in bytes_.values()), inside

    for life in lives:
        events = life.leases()
        kept = {i: l for i, l in life.kept.items() if l["state"] in ("granted", "revoked")}
        own = {e["lease"] for type_, e in events if type_ == "lease_granted"}
        ends = {e["lease"] for type_, e in events if type_ == "lease_ended"}
        for id_ in set(inside) - set(kept) - ends:
            untold += 1
            ended.add(id_)
            del inside[id_]
        for id_ in set(kept) - own - set(inside):
            assert id_ not in granted, f"{id_} came back from its end"
            untold += 1
            granted.add(id_)
            inside[id_] = {k: v for k, v in kept[id_].items() if k != "state"}
        check()
        for type_, e in events:
            id_ = e["lease"]
            if type_ == "lease_granted":
                assert id_ not in granted, f"{id_} was granted twice"
                granted.add(id_)
                inside[id_] = e
                check()
            else:
                assert id_ not in ended, f"{id_} ended twice"
                untold += id_ not in granted  # neither by an event nor by a list
                granted.add(id_)
                ended.add(id_)
                inside.pop(id_, None)
    assert not inside, f"granted and never ended: {inside}"
    assert granted == ended
    return len(granted), untold


def may_be_turned_away(job, err, absences):
    """The daemon went away before it had said anything to it."""
    return any(began < job.ended and job.began < ended for began, ended in absences) and (
        job.status in (69, 75) or (job.status == 1 and re.search(CUT, err)))


def lacks_room(job, err):
    """Others took three times what was made free for it: a plan is made anew so often and no more. It
    has had nothing then; how often that happens is told."""
    return (job.status == 75 or job.submitted) and "no room could be made" in err


def check_jobs(load, absences):
    """Nobody was harmed by the end of another."""
    without_room = 0
    lines = load.lines()
    orphaned = {j.number for j in load.jobs if j.is_orphaned}
    twice = [l for l in lines if "twice" in l["what"]]
    # Killing both at once leaves what the command has moved away; docs/jobs.md says so.
    unlawful = [l for l in twice if "inside" not in l or not orphaned & set(map(int, filter(None, l["inside"])))]
    assert not unlawful, f"{unlawful}; killed: {[(j.name, j.killed) for j in load.jobs if j.killed]}"
    ends = {l["job"] for l in lines if l["what"] == "ends"}
    for job in load.jobs:
        err = job.err.read_text(errors="replace") + job.log
        assert "goes on without it" not in err, f"{job.describe()}: {err}"
        if job.killed or "is revoked" in err or may_be_turned_away(job, err, absences):
            continue
        if lacks_room(job, err):
            without_room += 1
            assert job.number not in {l["job"] for l in lines}, job.describe()
            continue
        assert job.status == 0 and job.number in ends, f"{job.describe()}: {job.status} {err}"
    return len({l["job"] for l in lines if l["what"] == "begins"}), len(twice), without_room


def check_all_is_back(d, load):
    until(lambda: not load.left(), "the end of all processes of jobs")
    until(lambda: not listed(d), "the end of all leases", 2 * GRACE_S + 6 * SECONDS)
    for name in MODELS:
        d.ok(d.post(f"/wharf/models/{name}/unload"))
    for i in range(2):
        until(lambda: not live_claims(d.state / "sim" / str(i)), "no claims")
        until(lambda: (device(d, i)["used_bytes"], device(d, i)["leased_bytes"]) == (0, 0), "equal books")
    room = min(device(d, i)["room_bytes"] for i in range(2))
    lease = Lease(d, vram=room, gpus=2, gates=list(GATES), wait=0)
    assert lease.lines[0]["state"] == "granted" and len(lease.granted["devices"]) == 2
    assert room > 0.9 * CAPACITY
    lease.end()
    until(lambda: not listed(d), "the end of the last lease")


# No slice: what looks for leaks at the end of a process under AddressSanitizer is a process with the same
# mark, and a kill that hits it has the other wait for it for ever.
@pytest.mark.timeout(60 * SLOWNESS + 2 * KILLS * SLOWNESS)
def test_what_crashes_gives_back_what_it_had_and_nothing_is_given_twice(wharf, capsys):
    seed = os.environ.get("WHARF_CRASH_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"WHARF_CRASH_SEED={seed} WHARF_CRASH_KILLS={KILLS}")
    started = time.monotonic()
    d = wharf(config())
    d.listen = "%s:%d" % d.address
    load = Load(d, seed, JOBS_AT_ONCE)
    killer = Killer(d, load, seed)
    watches = [Watch(lambda: look_at_truth(d)), Watch(lambda: look_at_books(d))]
    chats = [Chat(d, name) for name in MODELS]
    try:
        killer.go(KILLS)
        load.close()
        for watch in [c.watch for c in chats] + watches:
            watch.stop()
        check_all_is_back(d, load)
        begun, lawful, without_room = check_jobs(load, killer.absences)
        d.stop()
        killer.lives[-1].feed.thread.join(SECONDS)
        grants, untold = replay(killer.lives)
    finally:
        load.abandon()
        for watch in [c.watch for c in chats] + watches:
            watch.stopping.set()
    assert begun > KILLS / 2 and sum(c.answers[200] for c in chats) > KILLS / 10
    with capsys.disabled():
        print(f"\nseed {seed}: {KILLS} kills {dict(sorted(killer.count.items()))}; {len(load.jobs)} jobs, "
              f"{grants} leases granted and ended ({untold} of these not told), {begun} commands began; "
              f"looked {watches[0].samples} times at the GPUs, {watches[1].samples} at the books; "
              f"{sum(c.answers[200] for c in chats)} answers of models; {lawful} gates overlapped after both "
              f"were killed; {without_room} jobs refused for want of room; violations 0; {time.monotonic() - started:.0f} s")

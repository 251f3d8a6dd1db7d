"""A world around a core: engines, devices, clients and leases as they really are.

It carries out what the core orders, and brings back what comes of it when it is told to: so the
orders, the results and the passing of time cross in every way. What the world knows of the core are
events and effects; by these it checks, after each step, what must hold in any case."""

from core import (CLASSES, COMMANDS, ENDS, GIB, MIB, NONE, OUTCOMES, REASON, REASONS, S, SCHEDULERS, STATES,
                  Core, Model, mib, ms)

OPS = {"LOAD": "loading", "UNLOAD": "unloading", "MOVE": "moving", "SUSPEND": "suspending",
       "RESUME": "resuming"}
MODES = {"idle": {}, "recording": {"vlm": "loaded", "clip": 1}, "autopilot": {"vlm": "unloaded", "clip": 0}}
VLM, CLIP = 0, 1
VLM_BYTES, CLIP_BYTES, CLIP_FREE_MIN = 10752 * MIB, 500 * MIB, GIB
# Longer than anything in the core may take to come to rest.
ROUNDS_MAX = 400
# A wish that could not be had is tried again after so long, and some.
WISH_RETRY_S = 33


# Falsifies what cores are told and say, for the selftest; see bugs.py.
BUG = None


def seed_models(vlm=None, clip=None, gpus=1):
    """The seed's two models, with some of the policy as wanted."""
    return [Model("vlm", dict(device_mask=gpus, bytes=VLM_BYTES),
                  **{"load_ns_max": 30 * S, "unload_ns_max": 5 * S, "load_retries_max": 3, "slots_max": 1,
                     **(vlm or {})}),
            Model("clip", dict(device_mask=gpus, bytes=CLIP_BYTES, free_bytes_min=CLIP_FREE_MIN), {},
                  **{"movable": 1, "yields": 1, "load_ns_max": 10 * S, "slots_max": 4, **(clip or {})})]


class Config:
    def __init__(self, models, devices=(12 * GIB,), sched="fair", gates=(1,), min_resident_ns=0,
                 wait_ns=(30 * S, 120 * S, 600 * S), suspend_bytes=0):
        self.models, self.devices, self.sched, self.gates = models, devices, sched, gates
        self.min_resident_ns, self.wait_ns, self.suspend_bytes = min_resident_ns, wait_ns, suspend_bytes

    def policy(self):
        return dict(sched=SCHEDULERS.index(self.sched), plan=1, wait_foreground_ns=self.wait_ns[0],
                    wait_normal_ns=self.wait_ns[1], wait_background_ns=self.wait_ns[2],
                    min_resident_ns=self.min_resident_ns, serve_ns_max=600 * S,
                    suspend_bytes_max=self.suspend_bytes)

    def story(self):
        lines = ["scheduler " + self.sched, "planner fit"]
        lines += ["fair fg=%s normal=%s bg=%s resident=%s"
                  % tuple(ms(t) for t in (*self.wait_ns, self.min_resident_ns))]
        lines += ["suspended " + mib(self.suspend_bytes)] if self.suspend_bytes else []
        lines += ["device gpu%d %s" % (d, mib(size)) for d, size in enumerate(self.devices)]
        lines += ["gate gate%d limit=%d" % (g, limit) for g, limit in enumerate(self.gates)]
        return lines + [m.story() for m in self.models]


class Op:
    def __init__(self, kind, effect, now):
        self.kind, self.id, self.placement, self.devices = kind, effect.op, effect.placement, effect.devices
        self.since, self.escalated, self.oom = now, False, False
        self.reason = effect.reason


class Engine:
    """A model's process and its memory."""

    def __init__(self):
        self.alive, self.op, self.placement = False, None, None
        self.held = {}  # device: bytes
        self.suspended = self.stuck = False
        self.wanted_out = False  # somebody commanded its unload, or its ttl passed
        self.failures, self.given_up = 0, False  # loads in a row; more than may be tried again


class Client:
    """A request or a lease."""

    def __init__(self, tag, seq, since, **fields):
        self.tag, self.seq, self.since, self.state, self.id = tag, seq, since, "asking", 0
        self.ask = self.model = None
        self.held, self.renewed, self.revoked_at = {}, 0, None
        self.cut = False  # its engine has gone from under it
        self.__dict__.update(fields)


class World:
    def __init__(self, config):
        self.config, self.core = config, Core(config, BUG and BUG())
        self.now = 0
        self.engines = [Engine() for _ in config.models]
        self.foreign = [0] * len(config.devices)
        self.lingering = []  # (until, device, bytes, owner: a model's slot and a lease's id)
        self.linger_ns = 0
        self.clients, self.over = {}, set()  # by tag; tags that were answered for good
        self.snapshots, self.commands = [], {}
        self.seq = self.tag = self.last_op = 0
        self.counts = dict.fromkeys(("arrived", "refused", "ended"), 0)
        self.mode, self.pinned = "idle", {i for i, m in enumerate(config.models) if m.policy.get("pinned")}
        self.auto = None  # durations of ops, where they complete by themselves
        self.heard = []  # every effect since the last `listen`
        self.tell("CONFIG")
        for d, size in enumerate(config.devices):
            self.tell("DEVICE_FOUND", device=d, total_bytes=size)
        self.tell("BOOT_DONE")

    def close(self):
        self.core.close()

    # ------------------------------------------------------------------ telling and hearing

    def hold(self, condition, what, *arguments):
        if not condition:
            raise self.core.broken(what % arguments if arguments else what, self.now)

    def tell(self, kind, line=None, **fields):
        effects = self.core.tell(kind, self.now, line, **fields)
        for effect in effects:
            self.hear(effect)
        self.heard += effects
        self.check(kind)
        return effects

    def listen(self):
        """What was heard since the last time."""
        heard, self.heard = self.heard, []
        return heard

    def hear(self, e):
        if e.type in OPS:
            self.hear_order(e)
        elif e.type in ("ABORT", "KILL"):
            op = self.engines[e.model].op
            self.hold(op and op.id == e.op and not op.escalated, "%s of an op that is not open", e.type)
            self.hold((op.kind == "LOAD") == (e.type == "ABORT"), "%s of a %s", e.type, op.kind)
            op.escalated = True
        elif e.type in ("WAIT", "GRANT", "REFUSE", "LEASE_WAIT", "LEASE_GRANT", "LEASE_END", "LEASE_REVOKE"):
            self.hear_answer(e)
        elif e.type == "COMMAND_DONE":
            self.hold(e.tag in self.commands, "!%d is answered twice, or was never given", e.tag)
            self.hear_command_done(e, *self.commands.pop(e.tag))
        elif e.type == "DECISION" and e.model is not None:
            self.hold(e.model not in self.pinned, "%s is pinned, and is told to leave: %s",
                      self.name(e.model), e.reason)
        elif e.type == "NOTICE" and e.notice == "idle_unload":
            self.engines[e.model].wanted_out = True

    def name(self, model):
        return self.config.models[model].name

    # ------------------------------------------------------------------ engines

    def used(self, device):
        """Bytes in use by wharf's processes, those that are gone but not yet free included."""
        return (sum(e.held.get(device, 0) for e in self.engines)
                + sum(c.held.get(device, 0) for c in self.clients.values())
                + sum(b for _, d, b, _ in self.lingering if d == device))

    def places(self, mask):
        return [d for d in range(len(self.config.devices)) if mask >> d & 1]

    def hear_order(self, e):
        """An op begins: never two of one model, never what its state forbids, never more than fits."""
        engine, name = self.engines[e.model], self.name(e.model)
        self.hold(engine.op is None, "%s of %s while another op is open", e.type, name)
        self.hold(e.op > self.last_op, "op %d after %d", e.op, self.last_op)
        self.hold(engine.alive == (e.type != "LOAD"), "%s of %s, which is %sthere", e.type, name,
                  "" if engine.alive else "not ")
        self.hold(engine.suspended == (e.type == "RESUME") or e.type in ("LOAD", "UNLOAD"),
                  "%s of %s, suspended or not", e.type, name)
        self.last_op = e.op
        self.hold(e.type in ("LOAD", "RESUME") or e.model not in self.pinned or
                  e.reason in ("commanded", "the mode wants it so", "the load was called off",
                               "it did not become ready in time"),
                  "%s of the pinned %s: %s", e.type, name, e.reason)
        running = [c for c in self.inside() if c.model == e.model and not c.cut]
        self.hold(not running or e.reason in ("commanded", "its server refuses connections"),
                  "%s of %s while it serves", e.type, name)
        engine.op = Op(e.type, e, self.now)
        if e.type in ("LOAD", "RESUME", "MOVE") and e.devices:
            self.come_in(e, engine)
        if e.type == "LOAD":
            engine.alive, engine.placement = True, e.placement

    def come_in(self, e, engine):
        size = self.config.models[e.model].placements[e.placement]["bytes"]
        for d in self.places(e.devices):
            others = [self.name(i) for i, o in enumerate(self.engines)
                      if o is not engine and o.op and o.op.kind in ("LOAD", "RESUME", "MOVE")
                      and o.op.devices >> d & 1]
            self.hold(not others, "%s comes in on gpu%d while %s does", self.name(e.model), d, others)
            more = size - (engine.held.get(d, 0) if e.type == "RESUME" else 0)
            used = self.used(d)
            self.hold(used + more <= self.config.devices[d], "%s of %s: %s on gpu%d, where %s of %s are used",
                      e.type, self.name(e.model), mib(more), d, mib(used), mib(self.config.devices[d]))
            # Somebody else may have taken the room unseen: then the engine will not make it.
            if used + more + self.foreign[d] > self.config.devices[d]:
                engine.op.oom = True
        if not engine.op.oom:
            for d in self.places(e.devices):
                engine.held[d] = size

    def let_go(self, held, owner, keep=None):
        """Memory is given back, some time after."""
        for d, size in list(held.items()):
            kept = (keep or {}).get(d, 0)
            if self.linger_ns and size > kept:
                self.lingering.append((self.now + self.linger_ns, d, size - kept, owner))
            held[d] = min(size, kept)
            if not held[d]:
                del held[d]

    def die(self, engine):
        self.let_go(engine.held, (self.engines.index(engine), 0))
        engine.alive = engine.suspended = engine.stuck = False
        engine.placement = engine.op = None
        for client in self.inside():
            client.cut |= self.engines[client.model] is engine

    def open_ops(self):
        return [i for i, e in enumerate(self.engines) if e.op]

    def finish(self, model, how=0):
        """The model's open op completes: 0 well; 1, 2, 3: in the ways in which it can go wrong."""
        engine = self.engines[model]
        op, finish = engine.op, getattr(self, "finish_" + engine.op.kind.lower())
        finish(model, engine, op, how)

    def finish_load(self, model, engine, op, how):
        if op.oom or (op.escalated and how != 1) or (how and not op.escalated):
            why = "oom" if op.oom else "aborted" if op.escalated else ("error", "exited", "oom")[how % 3]
            self.die(engine)
            if not op.escalated or self.now >= op.since + self.config.models[model].policy["load_ns_max"]:
                engine.failures += 1
                engine.given_up |= engine.failures > self.config.models[model].policy["load_retries_max"]
            self.tell("MODEL_LOAD_FAILED", "failed %s %s" % (self.name(model), why), model=model, op=op.id,
                      why=REASON[REASONS[why]])
            return
        engine.op = None
        if not op.escalated:
            engine.failures, engine.given_up = 0, False
        self.tell("MODEL_LOADED", "loaded " + self.name(model), model=model, op=op.id)

    def finish_unload(self, model, engine, op, how):
        stuck = bool(how and op.escalated)
        if stuck:
            engine.op, engine.stuck = None, True
        else:
            self.die(engine)
        self.tell("MODEL_UNLOADED", "unloaded %s%s" % (self.name(model), " stuck" * stuck), model=model,
                  op=op.id, stuck=int(stuck))

    def outcome(self, event, model, engine, op, how):
        outcome = OUTCOMES[how]
        if outcome == "gone":
            self.die(engine)
        else:
            engine.op = None
        word = {"MOVE": "moved", "SUSPEND": "suspended", "RESUME": "resumed"}[op.kind]
        self.tell(event, "%s %s %s" % (word, self.name(model), outcome), model=model, op=op.id, outcome=how)

    def finish_move(self, model, engine, op, how):
        how = 1 if op.oom and how in (0, 2) else (0, 1, 3, 2)[how % 4]
        size = self.config.models[model].placements[op.placement].get("bytes", 0)
        target = dict.fromkeys(self.places(op.devices), size)
        source = {d: b for d, b in engine.held.items() if d not in target}
        if OUTCOMES[how] in ("done", "at-target"):
            self.let_go(source, (model, 0))
            engine.held, engine.placement = target, op.placement
        elif OUTCOMES[how] == "at-source":
            arriving = {d: b for d, b in engine.held.items() if d in target and not op.oom}
            self.let_go(arriving, (model, 0))
            engine.held = source
        self.outcome("MODEL_MOVED", model, engine, op, how)

    def finish_suspend(self, model, engine, op, how):
        how = (0, 1, 3)[how % 3]
        if how == 0:
            residue = self.config.models[model].policy.get("suspended_bytes", 0)
            self.let_go(engine.held, (model, 0), dict.fromkeys(engine.held, residue))
            engine.suspended = True
        self.outcome("MODEL_SUSPENDED", model, engine, op, how)

    def finish_resume(self, model, engine, op, how):
        how = 1 if op.oom and how % 3 == 0 else (0, 1, 3)[how % 3]
        if how == 0:
            engine.suspended = False
        elif how == 1:
            residue = self.config.models[model].policy.get("suspended_bytes", 0)
            self.let_go(engine.held, (model, 0), dict.fromkeys(engine.held, residue))
        self.outcome("MODEL_RESUMED", model, engine, op, how)

    def exit(self, model):
        """A process that is there and has nothing to do with an op ends by itself."""
        self.die(self.engines[model])
        self.tell("MODEL_EXITED", "exited " + self.name(model), model=model)

    # ------------------------------------------------------------------ clients

    def inside(self, lease=False):
        return [c for c in self.clients.values() if c.state == "inside" and (c.ask is not None) == lease]

    def waiting(self, lease=False):
        return [c for c in self.clients.values() if c.state == "waiting" and (c.ask is not None) == lease]

    def next_tag(self):
        """A story knows tags below 128; those of long ago may come again."""
        while True:
            self.tag = self.tag % 127 + 1
            if self.tag not in self.clients:
                self.over.discard(self.tag)
                return self.tag

    def full(self):
        return len(self.clients) >= 60

    def request(self, model, rank="normal", wait_ns=NONE):
        tag = self.next_tag()
        self.seq += 1
        self.counts["arrived"] += 1
        self.clients[tag] = Client(tag, self.seq, self.now, model=model, rank=rank)
        patience = " wait=" + ms(wait_ns) if wait_ns != NONE else ""
        self.tell("REQUEST_ARRIVED", "request %s #%d %s%s" % (self.name(model), tag, rank, patience),
                  tag=tag, model=model, wait_ns_max=wait_ns, rank=CLASSES.index(rank))
        self.hold(tag not in self.clients or self.clients[tag].state != "asking", "#%d is not answered", tag)
        return tag

    def ask(self, ask):
        tag = self.next_tag()
        self.seq += 1
        self.counts["arrived"] += 1
        self.clients[tag] = Client(tag, self.seq, self.now, ask=ask)
        self.tell("LEASE_ASKED", ask.story(tag), tag=tag, **ask.fields())
        self.hold(tag not in self.clients or self.clients[tag].state != "asking", "#%d is not answered", tag)
        return tag

    def leave(self, tag, how="end"):
        """A client that was not refused is through, or gone, wherever it stands."""
        client = self.clients.pop(tag)
        self.counts["ended"] += 1
        self.over.add(tag)
        self.let_go(client.held, (NONE, client.id))
        if client.ask is None:
            self.tell("REQUEST_ENDED", "%s #%d" % (how, tag), id=client.id, how=ENDS.index(how))
        else:
            self.tell("LEASE_ENDED", "end #%d" % tag, id=client.id)

    def renew(self, tag):
        client = self.clients[tag]
        if client.revoked_at is None:
            client.renewed = self.now
        self.tell("LEASE_RENEWED", "renew #%d" % tag, id=client.id)

    def hear_answer(self, e):
        client = self.clients.get(e.tag)
        self.hold(e.tag not in self.over, "#%d: %s after its last answer, or its end", e.tag, e.type)
        self.hold(client is not None, "#%d: %s, and nobody asked", e.tag, e.type)
        self.hold(client.state == "asking" or client.id == e.id, "#%d: %s with another id", e.tag, e.type)
        getattr(self, "hear_" + e.type.lower())(e, client)

    def hear_wait(self, e, client):
        self.hold(client.state == "asking", "#%d is told twice to wait", e.tag)
        client.state, client.id = "waiting", e.id
        if client.ask is None:
            self.engines[client.model].wanted_out = False

    hear_lease_wait = hear_wait

    def hear_refuse(self, e, client):
        self.hold(client.state != "inside", "#%d was granted and is refused: %s", e.tag, e.reason)
        self.hold(e.reason, "#%d is refused without a reason", e.tag)
        self.counts["refused"] += 1
        self.over.add(e.tag)
        del self.clients[e.tag]

    def hear_grant(self, e, client):
        engine = self.engines[client.model]
        self.hold(client.state in ("asking", "waiting"), "#%d is granted twice", e.tag)
        self.hold(e.model == client.model and client.ask is None, "#%d is granted for another model", e.tag)
        self.hold(engine.alive and not engine.op and not engine.suspended and not engine.stuck,
                  "#%d is granted, but %s does not serve", e.tag, self.name(e.model))
        for other in self.waiting():
            if other.model == client.model and other.seq < client.seq:
                self.hold(other.rank != client.rank, "#%d is granted before #%d, which came first",
                          e.tag, other.tag)
            if other.model == client.model and self.config.sched == "fifo":
                self.hold(CLASSES.index(other.rank) >= CLASSES.index(client.rank),
                          "#%d is granted before #%d of a higher class", e.tag, other.tag)
            if self.config.sched == "serial":
                self.hold(other.seq >= client.seq, "serial: #%d is granted before #%d", e.tag, other.tag)
        client.state, client.id = "inside", e.id
        engine.wanted_out = False
        running = sum(c.model == client.model for c in self.inside())
        self.hold(running <= self.config.models[e.model].policy["slots_max"], "%s serves %d at once",
                  self.name(e.model), running)

    def hear_lease_grant(self, e, client):
        ask = client.ask
        self.hold(client.state in ("asking", "waiting") and ask is not None, "#%d is granted twice", e.tag)
        places = self.places(e.devices)
        self.hold(len(places) == (ask.count if ask.size else 0) and not e.devices & ~ask.devices,
                  "#%d asked for %d of devices %x and got %x", e.tag, ask.count, ask.devices, e.devices)
        self.hold(not ask.size or e.bytes == ask.size, "#%d got %s", e.tag, mib(e.bytes))
        self.check_gate_order(client)
        client.state, client.id, client.renewed = "inside", e.id, self.now
        for g, limit in enumerate(self.config.gates):
            inside = sum(c.ask.gates >> g & 1 for c in self.inside(lease=True))
            self.hold(inside <= limit, "%d are inside gate%d, whose limit is %d", inside, g, limit)
        for d in places:
            used = self.used(d)
            self.hold(used + ask.size <= self.config.devices[d], "#%d gets %s on gpu%d, where %s of %s are used",
                      e.tag, mib(ask.size), d, mib(used), mib(self.config.devices[d]))
            if used + ask.size + self.foreign[d] <= self.config.devices[d]:
                client.held[d] = ask.size

    def check_gate_order(self, client):
        place = (CLASSES.index(client.ask.rank), client.seq)
        for other in self.waiting(lease=True):
            if other is not client and other.ask.gates & client.ask.gates:
                self.hold((CLASSES.index(other.ask.rank), other.seq) > place,
                          "#%d goes through a gate before #%d", client.tag, other.tag)

    def hear_lease_revoke(self, e, client):
        self.hold(client.state == "inside" and client.ask.revocable and client.revoked_at is None,
                  "#%d is revoked: not granted, not revocable, or for the second time", e.tag)
        client.revoked_at = self.now

    def hear_lease_end(self, e, client):
        self.hold(client.state == "inside", "#%d ends, and was not granted", e.tag)
        if client.revoked_at is not None:
            self.hold(self.now >= client.revoked_at + client.ask.grace_ns, "#%d ends within its grace", e.tag)
        else:
            self.hold(client.ask.ttl_ns and self.now >= client.renewed + client.ask.ttl_ns,
                      "#%d ends within its ttl", e.tag)
        self.over.add(e.tag)
        self.counts["ended"] += 1
        self.let_go(client.held, (NONE, client.id))
        del self.clients[e.tag]

    # ------------------------------------------------------------------ devices and time

    def snapshot(self, device):
        """What a probe reads now; it may be told later."""
        uses = [(i, 0, e.held[device]) for i, e in enumerate(self.engines) if e.held.get(device)]
        uses += [(NONE, c.id, c.held[device]) for c in self.inside(lease=True) if c.held.get(device)]
        return device, self.now, self.used(device) + self.foreign[device], uses

    def sample(self, device=0):
        self.tell_sample(self.snapshot(device))

    def tell_sample(self, snapshot):
        device, taken, used, uses = snapshot
        line = "sample gpu%d used=%d taken=%s" % (device, used, ms(taken))
        for model, lease, size in uses:
            tags = [c.tag for c in self.clients.values() if c.ask is not None and c.id == lease]
            if model == NONE and not tags:
                continue  # it has ended meanwhile
            self.core.add_use(model, lease, size)
            line += " %s=%d" % ("#%d" % tags[0] if model == NONE else self.name(model), size)
        self.tell("DEVICE_SAMPLE", line, device=device, taken_ns=taken, used_bytes=used)

    def set_foreign(self, device, size):
        self.foreign[device] = min(size, self.config.devices[device] - self.used(device))

    def next_due(self):
        if self.auto is None:
            return NONE
        return min((e.op.since + self.auto.get(e.op.kind, S) for e in self.engines if e.op), default=NONE)

    def advance(self, ns):
        """Time passes; each deadline on the way gets its TICK."""
        until = self.now + ns
        for _ in range(10000):
            at = min(self.core.deadline(), self.next_due())
            if at > until:
                break
            self.now = max(self.now, at)
            self.lingering = [l for l in self.lingering if l[0] > self.now]
            if self.core.deadline() > self.now:
                self.finish(min(self.open_ops(), key=lambda i: self.engines[i].op.since
                                + self.auto.get(self.engines[i].op.kind, S)))
            else:
                self.tell("TICK")
        else:
            self.hold(False, "a deadline that is never met")
        self.now = until
        self.lingering = [l for l in self.lingering if l[0] > self.now]

    # ------------------------------------------------------------------ modes and commands

    def set_mode(self, mode):
        self.mode = mode
        words = ["mode"]
        for i, m in enumerate(self.config.models):
            wish = MODES[mode].get(m.name)
            self.engines[i].wanted_out = self.engines[i].given_up = False
            if wish is not None:
                words.append("%s=%s" % (m.name, wish))
                self.core.add_wish(i, 2 if wish == "unloaded" else 1,
                                   wish if isinstance(wish, int) else NONE)
        self.tell("MODE", " ".join(words))

    def command(self, what, model, placement=0, keep=0):
        tag = self.next_command()
        self.commands[tag] = (what, model, placement)
        if what == "pin":
            self.pinned.add(model)
        elif what == "unpin" and not self.config.models[model].policy.get("pinned"):
            self.pinned.discard(model)
        elif what in ("unload", "unload-now"):
            self.engines[model].wanted_out = True
        to = " to=%d" % placement if what == "move" else ""
        if what == "keep":
            to = " ttl=never" if keep == NONE else " ttl=%ds" % (keep // S)
        self.tell("COMMAND", "command %s %s !%d%s" % (what, self.name(model), tag, to), tag=tag,
                  model=model, command=COMMANDS.index(what), placement=placement,
                  keep_ns=keep)
        return tag

    def next_command(self):
        while True:
            self.tag = self.tag % 127 + 1
            if self.tag not in self.commands:
                return self.tag

    def hear_command_done(self, e, what, model, placement):
        """Whoever is told that it is done can rely on it."""
        engine = self.engines[model]
        if e.reason == "" and what == "load":
            self.hold(engine.alive and not engine.op and not engine.suspended,
                      "!%d: the load is done, and %s is not loaded", e.tag, self.name(model))
        if e.reason == "" and what in ("unload", "unload-now"):
            self.hold(not engine.alive, "!%d: the unload is done, and %s is there", e.tag, self.name(model))
        if e.reason == "" and what == "move":
            self.hold(engine.placement == placement and not engine.op,
                      "!%d: the move is done, and %s is at %s", e.tag, self.name(model), engine.placement)
        if e.reason == "" and what == "suspend":
            self.hold(engine.suspended, "!%d: the suspend is done, and %s is not suspended", e.tag,
                      self.name(model))

    def state(self, model):
        return STATES[self.core.model(model).state]

    # ------------------------------------------------------------------ what must always hold

    def check(self, kind):
        self.check_conservation()
        for i, engine in enumerate(self.engines):
            self.check_model(i, engine)
        for d in range(len(self.config.devices)):
            self.check_device(d)
        self.check_yields()

    def check_conservation(self):
        """All who arrived are somewhere, and the core says the same."""
        view = self.core.view()
        waiting, running = len(self.waiting()), len(self.inside())
        asking = sum(c.state == "asking" for c in self.clients.values())
        leases_waiting, leases = len(self.waiting(lease=True)), len(self.inside(lease=True))
        self.hold(asking or view.waiting == waiting, "%d wait, the core says %d", waiting, view.waiting)
        self.hold(view.running == running, "%d run, the core says %d", running, view.running)
        self.hold(asking or view.leases_waiting == leases_waiting, "%d leases wait, the core says %d",
                  leases_waiting, view.leases_waiting)
        self.hold(view.leases_granted == leases, "%d leases, the core says %d", leases, view.leases_granted)
        self.hold(sum(self.counts[k] for k in ("refused", "ended")) + len(self.clients)
                  == self.counts["arrived"], "not all who arrived are somewhere")

    def check_model(self, i, engine):
        view, name = self.core.model(i), self.name(i)
        state = STATES[view.state]
        if engine.op:
            wanted = (OPS[engine.op.kind],)
        elif engine.stuck:
            wanted = ("stuck",)
        elif engine.alive:
            wanted = ("suspended",) if engine.suspended else ("loaded",)
        else:
            wanted = ("unloaded", "error")
        self.hold(state in wanted, "%s is %s, the core says %s", name, wanted, state)
        self.hold(bool(view.pinned) == (i in self.pinned), "%s: pinned?", name)
        places = len(self.config.models[i].placements)
        self.hold((view.placement == NONE) == (not engine.alive) and (view.placement == NONE
                                                                      or view.placement < places),
                  "%s is at placement %d", name, view.placement)
        if view.placement != NONE and not engine.op:
            self.hold(view.placement == engine.placement, "%s is at placement %s, the core says %d", name,
                      engine.placement, view.placement)

    def check_device(self, d):
        """The ledger never hands out more than there is, nor less than what is there in truth."""
        view, size = self.core.device(d), self.config.devices[d]
        taken = view.own_bytes + view.leased_bytes + view.settling_bytes
        self.hold(taken <= size, "gpu%d: %s of %s are charged", d, mib(taken), mib(size))
        leased = sum(c.ask.size for c in self.inside(lease=True) if c.held.get(d))
        granted = sum(c.ask.size for c in self.inside(lease=True))
        self.hold(leased <= view.leased_bytes <= granted, "gpu%d: %s leased, the core says %s", d,
                  mib(leased), mib(view.leased_bytes))
        held = sum(e.held.get(d, 0) for e in self.engines)
        self.hold(held <= view.own_bytes, "gpu%d: %s in use by models, the core says %s", d, mib(held),
                  mib(view.own_bytes))

    def check_yields(self):
        """The seed's property 6: what gives way is off the device before another comes in there,
        unless it is pinned: that is never made to leave."""
        coming = [(i, e.op) for i, e in enumerate(self.engines) if e.op and e.op.kind in ("LOAD", "RESUME")]
        for i, op in coming:
            if self.config.models[i].policy.get("yields"):
                continue
            for j, other in enumerate(self.engines):
                on = [d for d in other.held if op.devices >> d & 1]
                self.hold(j == i or not on or j in self.pinned or
                          not self.config.models[j].policy.get("yields"),
                          "%s is still on gpu%s while %s loads there", self.name(j), on, self.name(i))

    # ------------------------------------------------------------------ coming to rest

    def settle(self, rounds=ROUNDS_MAX, auto=None, serve=True):
        """No more faults: engines do as they are told, samples come each second, and with `serve`
        clients get done, one after the other. Until nothing moves any more."""
        self.auto, self.snapshots = auto or {}, []
        for d in range(len(self.foreign)):
            self.foreign[d] = 0
        quiet = 0
        for _ in range(rounds):
            self.listen()
            for i, engine in enumerate(self.engines):
                if engine.stuck:
                    self.exit(i)
            for client in list(self.clients.values()) if serve else []:
                if client.state == "inside" and client.tag in self.clients:
                    self.leave(client.tag)
            self.advance(S)
            for d in range(len(self.foreign)):
                self.sample(d)
            busy = self.open_ops() or any(self.state(i) == "error" for i in range(len(self.engines)))
            moved = any(e.type not in ("SAMPLE_NOW", "LEARNED") for e in self.heard)
            quiet = 0 if busy or moved else quiet + 1
            if quiet > WISH_RETRY_S + self.config.min_resident_ns // S:
                break
        else:
            self.hold(False, "it does not come to rest")
        self.listen()

    def nobody(self):
        """All clients are gone."""
        for tag in list(self.clients):
            if tag in self.clients:
                self.leave(tag, "gone")

    def check_nobody_waits(self):
        """After `settle`: all who could be served have been."""
        for c in self.clients.values():
            self.hold(c.state != "waiting", "#%d still waits for %s", c.tag,
                      self.name(c.model) if c.ask is None else "its lease")
        for tag, (what, model, _) in self.commands.items():
            self.hold(False, "!%d, %s %s, is not answered", tag, what, self.name(model))

    def check_wishes(self):
        """After `settle`: models are where the mode wants them, but for those that somebody unloaded,
        that left for their ttl (core/state.h: wish_rests), or that failed to load too often."""
        for i, m in enumerate(self.config.models):
            wish, engine = MODES[self.mode].get(m.name), self.engines[i]
            if wish is None or (wish != "unloaded" and (engine.wanted_out or engine.given_up)):
                continue
            state = self.state(i)
            if wish == "unloaded":
                self.hold(not engine.alive or i in self.pinned, "%s should be unloaded in %s, and is %s",
                          m.name, self.mode, state)
                continue
            self.hold(state == "loaded", "%s should be loaded in %s, and is %s", m.name, self.mode, state)
            if isinstance(wish, int) and engine.placement != wish:
                room = max(self.core.device(d).room_bytes for d in range(len(self.foreign)))
                least = m.placements[wish].get("free_bytes_min", 0)
                self.hold(room < least, "%s should be at placement %d in %s, and is at %d with %s free",
                          m.name, wish, self.mode, engine.placement, mib(room))

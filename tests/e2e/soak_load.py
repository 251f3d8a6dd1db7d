"""The soak's load: who does what at the same time, from one seed, and the quiet moments in between.

    load = Load(world, seconds, askers=12)
    asyncio.run(load.live())       # then: outcomes, deeds, faults, samples, quiets, counts

Everybody stands still at a quiet moment: what runs is finished, nobody asks for more, all models are
unloaded, and what the daemon holds then must be what it held the last time."""

import asyncio
import collections
import contextlib
import json
import os
import pathlib
import random
import signal
import time

import jobs_world
from soak_client import Client, Lost, once
from soak_judge import Deed, Ids, Outcome, asked_for, differences
from soak_requests import KINDS, Asker, code_of
from soak_samples import Sampler, books, children, claimed, descriptors, memory, sockets, threads
from soak_world import KEY, KILLED, MODES
from wharf_harness import SLOWNESS, WHARF

PATIENCE_S = 60 * SLOWNESS
QUIET_S = 20 * SLOWNESS
OLLAMA_LATE_S = 2 * SLOWNESS
STAYS = 15  # looks in a row, a tenth of a second apart
LOOKS = ["/wharf/status", "/wharf/models", "/wharf/devices", "/wharf/queue", "/wharf/leases", "/wharf/decisions",
         "/wharf/mode", "/wharf/why/small", "/v1/models", "/models", "/running", "/api/tags", "/api/ps",
         "/api/metrics/activity?limit=50", "/api/metrics/stats?model=small", "/api/inflight", "/api/performance",
         "/api/hardware", "/api/profiles", "/logs", "/metrics", "/ready", "/api/version"]
STREAMS = ["/wharf/events", "/api/events", "/logs/stream", "/logs/stream/proxy", "/logs/stream/upstream",
           "/logs/stream/small", "/logs/stream/chatty"]
COMMANDS = [["ps"], ["status"], ["queue"], ["devices"], ["why", "small"], ["plan", "large"], ["lease"], ["mode"]]
# Commands, and with what they may be refused; else they are judged as requests are. busy: something else
# is being done with the model.
COMMANDED = {"load": (), "unload": (), "move": ("not_supported", "busy"), "suspend": ("not_supported", "busy"),
             "resume": ("not_supported",)}


class Outcomes:
    """All answers, counted; those with an error are kept until the next quiet moment, when all is known that
    may have been their cause."""

    def __init__(self):
        self.fine, self.errors, self.slowest = collections.Counter(), [], 0.0

    def add(self, outcome):
        self.slowest = max(self.slowest, outcome.ended - outcome.began)
        if outcome.code:
            self.errors.append(outcome)
        else:
            self.fine[outcome.kind] += 1


class Jobs(jobs_world.World):
    """Its jobs one by one, with the soak's key."""

    def __init__(self, world):
        super().__init__(world.d, f"unix:{world.unix}", [])

    def ask(self, method, path, body=None, headers=""):
        return super().ask(method, path, body, f"{headers}Authorization: Bearer {KEY}\r\n")


class Load:
    def __init__(self, world, seconds, askers=12, quiet_every=60, first_quiet=5):
        self.world, self.d, self.seconds = world, world.d, seconds
        self.quiet_every, self.first_quiet = quiet_every, first_quiet
        self.outcomes, self.deeds, self.faults, self.counts = Outcomes(), [], [], collections.Counter()
        self.vectors, self.quiets, self.quiet_points = {}, [], collections.defaultdict(list)
        self.sampler = Sampler(self.d.pid, {"": str(self.d.state), "history/": str(world.history.parent)})
        self.events, self.events_by_type = Ids(), collections.Counter()
        self.big_loads, self.big_given_up, self.ran_out = False, -100.0, set()
        self.clients = [Asker(self, f"{world.seed} asker {i}") for i in range(askers)]
        self.jobs, self.number, self.started = Jobs(world), 0, time.monotonic()
        self.sockets_first, self.guesses = {}, []  # when wrong keys were tried

    def now(self):
        return time.monotonic() - self.started

    # -- standing still

    @contextlib.asynccontextmanager
    async def turn(self):
        """Around whatever somebody does: not at a quiet moment."""
        await self.running.wait()
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
            if self.busy == 0:
                self.still.set()

    async def forever(self, work, rest_s, *seed):
        """work, again and again, with a rest of that length on average."""
        rng = random.Random(f"{self.world.seed} {work.__name__} {seed}")
        while True:
            await asyncio.sleep(rng.uniform(0.2, 1.8) * rest_s)
            async with self.turn():
                await work(rng)
                self.counts[work.__name__] += 1

    @contextlib.contextmanager
    def deed(self, kind, model=None):
        """Done in here; at its end others stop feeling it, but for what EXCUSES says."""
        deed = Deed(kind, model, self.now())
        self.deeds.append(deed)
        try:
            yield
        finally:
            deed.ended = self.now()

    async def get(self, path):
        return await self.ask("GET", path)

    async def ask(self, method, path, body=None):
        return await once(self.d.address, method, path, body, key=KEY)

    def fault(self, *words):
        self.faults.append(f"{self.now():.1f} s: " + " ".join(map(str, words))[:2000])

    # -- who does what

    async def asker(self, index):
        asker = self.clients[index]
        kinds, weights = list(KINDS), list(KINDS.values())
        while True:
            await asyncio.sleep(asker.rng.expovariate(1 / 0.08))
            async with self.turn():
                kind = asker.rng.choices(kinds, weights)[0]
                if kind.__name__ == "real_engine" and not self.world.real:
                    continue
                if kind.__name__ == "crowd":
                    await self.crowd(kind, [Asker(self, asker.rng.random()) for _ in range(5)])
                else:
                    await asker.one(kind)

    async def crowd(self, kind, several):
        await asyncio.gather(*(asker.one(kind) for asker in several))
        for asker in several:
            asker.let_go()

    async def job(self, rng):
        """One of jobs_world's, which claims what it was granted, and works."""
        self.number += 1
        job = jobs_world.draw(rng, self.number, 0)
        await self.jobs.go(job, 0)
        self.counts[f"job {job.kind}"] += 1

    async def command(self, rng):
        """Of a model: loaded, unloaded, moved, sent to sleep."""
        word = rng.choice(list(COMMANDED))
        model = {"move": "mover", "suspend": "sleeper", "resume": "sleeper"}.get(word)
        model = model or rng.choice(["small", "middle", "large", "mover", "sleeper", "clip", "big", "brief"])
        query = {"move": f"?device={rng.choice(['cpu', 'cuda'])}"}.get(word, "")
        deed = "unload"
        if word == "unload" and rng.random() < 0.3:
            query, deed = "?force=1", "force"
        began = self.now()
        # Who waits for what is sent to sleep is turned away as well.
        with self.deed(deed, model) if word in ("unload", "suspend") else contextlib.nullcontext():
            answer = await self.ask("POST", f"/wharf/models/{model}/{word}{query}", b"")
        self.counts[f"command {word}"] += 1
        if answer.status != 200:
            code = code_of(answer)
            self.counts[f"command {word}: {code}"] += 1
            self.outcomes.add(Outcome(f"command {word}", (model,), began, self.now(), answer.status, code,
                                      COMMANDED[word], repr(answer)))

    async def pin(self, rng):
        """Not for long: a job that wants all there is waits until nobody is pinned any more."""
        model = rng.choice(["small", "brief"])
        for word in ("pin", "unpin"):
            answer = await self.ask("POST", f"/wharf/models/{model}/{word}", b"")
            if answer.status != 200:
                self.fault(f"{word} of {model}:", answer)
            await asyncio.sleep(rng.uniform(0, 1.5))

    async def mode(self, rng):
        name = rng.choice(["idle", *MODES])
        with self.deed("unload", "large") if name == "night" else contextlib.nullcontext():
            answer = await self.ask("PUT", "/wharf/mode", {"mode": name})
        if answer.status != 200:
            self.fault(f"mode {name}:", answer)

    async def kill(self, rng):
        """An engine, whatever it is doing."""
        models = (await self.get("/wharf/models")).json()["models"]
        found = [m for m in models if m["id"] in KILLED and m["pid"]]
        if not found:
            return
        model = rng.choice(found)
        with self.deed("kill", model["id"]), contextlib.suppress(OSError):
            fd = os.pidfd_open(model["pid"])
            try:
                env = pathlib.Path(f"/proc/{model['pid']}/environ").read_bytes()
                if f"WHARF_TEST_ID={self.d.test_id}".encode() in env.split(b"\0"):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                    self.counts["kills"] += 1
            finally:
                os.close(fd)

    async def backend(self, rng):
        """The Ollama server, or the worker, is away for a moment."""
        if rng.random() < 0.5:
            with self.deed("backend", "big"):
                await asyncio.to_thread(self.world.ollama.down)
                await asyncio.sleep(rng.uniform(0, 0.5))
                await asyncio.to_thread(self.world.ollama.up)
                await self.until_up("big")
        else:
            with self.deed("worker", "clip"):
                self.world.worker.kill()
                # A worker that was lost may not come back before a second is over.
                await asyncio.sleep(1.2)
                await asyncio.to_thread(self.world.start_worker)

    async def until_up(self, model):
        deadline = self.now() + QUIET_S
        while (await self.get(f"/wharf/models/{model}")).json()["backend_reason"] is not None:
            if self.now() > deadline:
                self.fault(f"the backend of {model} does not come back")
                return
            await asyncio.sleep(0.05)

    async def reload(self, rng):
        """Another configuration, or a broken one."""
        if rng.random() < 0.25:
            self.d.write_config("models: {small: [")
            await self.reloaded("config_rejected")
            self.d.write_config(self.configuration)
            await self.reloaded("config_reloaded")
            return
        await self.take(self.world.variant(rng))

    async def take(self, config):
        """It is away from when it may be, and there from when it must be."""
        stays_away = "guest" not in config["models"]
        if stays_away and not self.away:
            self.away = Deed("guest away", "guest", self.now())
            self.deeds.append(self.away)
        with self.deed("reload", "guest"), self.deed("reload", "remade"):
            self.configuration = config
            self.d.write_config(config)
            await self.reloaded("config_reloaded")
        if self.away and not stays_away:
            self.away.ended = self.now()
            self.away = None

    async def reloaded(self, event):
        seen = self.events_by_type[event]
        self.d.signal(signal.SIGHUP)
        async with asyncio.timeout(PATIENCE_S):
            while self.events_by_type[event] == seen:
                await asyncio.sleep(0.01)
        self.counts[event] += 1

    async def cancel(self, rng):
        """Somebody's request, as the page of llama-swap's does."""
        requests = (await self.get("/api/inflight")).json()["requests"]
        if requests:
            found = rng.choice(requests)
            with self.deed("cancel", None):
                answer = await self.ask("POST", f"/api/inflight/{found['id']}/cancel", b"")
            if answer.status not in (200, 404):
                self.fault("cancel:", answer)

    async def look(self, rng):
        path = rng.choice(LOOKS)
        answer = await self.get(path)
        if answer.status != 200 or not answer.complete:
            self.fault(f"{path}:", answer)
        if path.startswith("/api/metrics/activity") and (rows := answer.json()["data"]):
            capture = await self.get(f"/api/captures/{rng.choice(rows)['id']}")
            if capture.status not in (200, 404):
                self.fault("a capture:", capture)

    async def cli(self, rng):
        words = rng.choice(COMMANDS)
        process = await asyncio.create_subprocess_exec(
            str(WHARF), *words, env={**self.d.env, "WHARF_URL": self.d.url}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        out, _ = await process.communicate()
        if process.returncode != 0:
            self.fault(f"wharf {words}: {process.returncode} {out}")

    async def subscriber(self, rng):
        """Somebody who comes, follows for a while, and goes; some of them do not read."""
        async with Client(rng.choice([self.d.address, self.world.unix]), KEY) as client:
            answer = await client.begin("GET", rng.choice(STREAMS))
            if answer.status != 200:
                self.fault("a stream:", answer)
            until = self.now() + rng.uniform(0, 4)
            if rng.random() < 0.3:
                await asyncio.sleep(until - self.now())
                return
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                async with asyncio.timeout(until - self.now()):
                    async for _ in client.pieces(answer):
                        pass

    async def resumer(self, rng):
        """Somebody who comes back with Last-Event-ID, again and again, and misses nothing."""
        if not self.events.last:
            return
        ids = Ids(max(1, self.events.last - rng.randrange(100)))
        for _ in range(rng.randrange(1, 4)):
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                async with asyncio.timeout(rng.uniform(0.1, 1.5)):
                    await self.follow(ids, ids.last)
        self.faults += [f"{self.now():.1f} s: a follower who came back: {f}" for f in ids.faults]

    async def follow(self, ids, last=None, each=lambda event: None, ready=None):
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(last)} if last else {})}
        async with Client(self.d.address, KEY) as client:
            answer, text = await client.begin("GET", "/wharf/events", headers=headers), b""
            if ready:
                ready.set()
            async for piece in client.pieces(answer):
                *blocks, text = (text + piece).split(b"\n\n")
                for block in blocks:
                    fields = dict(l.split(b": ", 1) for l in block.split(b"\n") if b": " in l)
                    if b"data" in fields:
                        event = json.loads(fields[b"data"])
                        ids.saw(event["id"], event["details"].get("missed") if event["type"] == "gap" else None)
                        each(event)

    def saw(self, event):
        self.events_by_type[event["type"]] += 1
        details = event["details"]
        if event["type"] == "no_progress":
            self.fault("no progress:", event)
        if event["type"] == "oom":
            self.saw_oom(event)
        if details.get("model") == "big" and event["type"] in ("model_loading", "model_loaded", "model_unloaded"):
            if event["type"] == "model_unloaded" and self.big_loads:
                self.big_given_up = self.now()
            self.big_loads = event["type"] == "model_loading"

    def saw_oom(self, event):
        """A load that Ollama is told to give up takes its memory all the same, for a moment in which wharf
        cannot see it: whoever is let in meanwhile may find too little, and is tried again with more."""
        self.ran_out.add(event["details"]["model"])
        if self.now() - self.big_given_up > OLLAMA_LATE_S:
            self.fault("out of memory:", event)

    # -- quiet moments

    async def quiet(self):
        self.running.clear()
        self.still.clear()
        if self.busy:
            try:
                await asyncio.wait_for(self.still.wait(), PATIENCE_S)
            except asyncio.TimeoutError:
                leases = (await self.get("/wharf/leases")).json()["leases"]
                raise AssertionError(f"{self.busy} are still at work {PATIENCE_S:.0f} s after they were told to "
                                     f"rest; leases {leases}; faults {self.faults}") from None
        for client in self.clients:
            client.let_go()
        await self.until_idle()
        await self.ask("PUT", "/wharf/mode", {"mode": "idle"})
        await self.agree("with models loaded")
        with self.deed("unload"):
            answer = await self.ask("POST", "/api/models/unload", b"")
            if answer.status != 200:
                self.fault("all are to be unloaded:", answer)
        await self.agree("with none", {name: 0 for name in self.world.folders()})
        await self.compare()
        self.running.set()

    async def until(self, what, look):
        """look() gives what is still wrong; that must end."""
        deadline = self.now() + QUIET_S
        while wrong := await look():
            if self.now() > deadline:
                self.fault(f"{what}: {wrong}")
                return
            await asyncio.sleep(0.1)

    async def until_idle(self):
        async def look():
            status = (await self.get("/wharf/status")).json()
            left = {k: status["jobs"][k] for k in ("active", "waiting")} | \
                {k: status[k] for k in ("leases", "leases_waiting", "leased_bytes")}
            return {k: v for k, v in left.items() if v}
        await self.until("when all have finished", look)

    async def agree(self, when, wanted=None):
        """The ledger is the GPUs' truth."""
        async def look():
            own, unsettled = books((await self.get("/wharf/devices")).json()["devices"])
            truth = claimed(self.world.folders())
            for model in (await self.get("/wharf/models")).json()["models"] if own else ():
                # Who ran out of memory is taken to need more than it has, until it has been measured often.
                if model["id"] in self.ran_out and model["used_bytes"] is not None:
                    for device in model["devices"]:
                        own[device] -= max(0, model["footprint_bytes"] - model["used_bytes"]) // len(model["devices"])
            if own is None or own != truth or (wanted is not None and truth != wanted):
                return f"counted {own}, unsettled {unsettled}, claimed {truth}"
            return None
        await self.until(f"the books, {when}", look)

    async def compare(self):
        """What the daemon holds, with what it held at the first quiet moment."""
        def held():
            return {"fds": descriptors(self.d.pid), "threads": {"": threads(self.d.pid)},
                    "children": {"": children(self.d.pid)}}

        async def look():
            now = held()
            found = [f for name in now for f in differences(name, self.quiets[0][name], now[name])]
            return found and [*found, "were", self.sockets_first, "are", sockets(self.d.pid)]

        async def stays():
            """For as long as connections of the daemon's own may still be kept, for their next use."""
            seen.append(held())
            return None if len(seen) > STAYS and all(s == seen[-1] for s in seen[-STAYS:]) else "it changes"

        seen = []
        await self.until("at a quiet moment", look if self.quiets else stays)
        if not self.quiets:
            self.sockets_first = sockets(self.d.pid)
        self.quiets.append(held())
        for name, value in memory(self.d.pid).items():
            self.quiet_points[name].append((self.now(), value))

    # -- all of it

    async def sample(self):
        while True:
            began = self.now()
            answer = await self.get("/metrics")
            if answer.status != 200:
                self.fault("/metrics:", answer)
            self.sampler.look(self.now(), answer_s=self.now() - began)
            await asyncio.sleep(max(0, began + 1 - self.now()))

    def everybody(self):
        yield from (self.asker(i) for i in range(len(self.clients)))
        yield from (self.forever(self.job, 0.3, i) for i in range(3))
        yield from (self.forever(self.subscriber, 0.5, i) for i in range(2))
        yield from (self.forever(work, rest_s) for work, rest_s in (
            (self.command, 0.5), (self.pin, 2), (self.mode, 3), (self.kill, 1.5), (self.backend, 5), (self.reload, 2),
            (self.cancel, 1), (self.look, 0.15), (self.cli, 1), (self.resumer, 1)))
        yield self.sample()

    async def everything_once(self):
        """What the daemon opens when it is first asked for, and keeps, is no leak."""
        for path in LOOKS:
            await self.get(path)
        for path in STREAMS:
            async with Client(self.d.address, KEY) as client:
                await client.begin("GET", path)

    async def live(self):
        self.busy, self.running, self.still, self.away = 0, asyncio.Event(), asyncio.Event(), None
        self.started = time.monotonic()
        ready = asyncio.Event()
        follower = asyncio.create_task(self.follow(self.events, each=self.saw, ready=ready))
        await ready.wait()
        self.configuration = self.world.config(peer=True)
        await self.take(self.configuration)
        await self.everything_once()
        self.running.set()
        tasks = [follower, *(asyncio.create_task(work) for work in self.everybody())]
        try:
            await self.time_passes(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def time_passes(self, tasks):
        """Until the end, with quiet moments; nobody may fail meanwhile."""
        next_quiet = self.first_quiet
        while True:
            ends = min(next_quiet, self.seconds)
            done, _ = await asyncio.wait(tasks, timeout=max(0, ends - self.now()),
                                         return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
                raise Lost("somebody has ended who should not")
            last = self.now() >= self.seconds
            await self.quiet()
            self.tell()
            if last:
                return
            next_quiet = self.now() + self.quiet_every

    def tell(self):
        """How it goes; errors that nobody asked for become faults now."""
        told, self.outcomes.errors = self.outcomes.errors, []
        for outcome in told:
            if asked_for(outcome, self.deeds):
                self.counts[f"asked for: {outcome.code}"] += 1
            else:
                self.fault("nobody asked for this:", outcome)
        self.deeds = [d for d in self.deeds if d.ended > self.now() - 120]
        point = {name: points[-1][1] for name, points in self.quiet_points.items()}
        print(f"{self.now():.0f} s: {sum(self.outcomes.fine.values())} answers, {len(told)} errors, "
              f"{len(self.faults)} faults, rss {point['rss'] >> 10} KiB, dirty {point['private_dirty'] >> 10} KiB, "
              f"{sum(self.quiets[-1]['fds'].values())} fds", *self.faults[-3:], sep="\n  ", flush=True)

"""Many jobs over simulated GPUs, with models in between, from one seed: what they are, and the program
that runs them. What it hands out is judged by jobs_oracle.py.

Most jobs hold a lease over HTTP from one asyncio program; the rest are `wharf run` and `wharf submit`.
Each claims what it was granted on the simulated GPU, works for as long as was drawn, and ends; one that
is revoked meanwhile ends at once and asks again. Half of those of the program claim in processes of
their own, with their lease's mark, the others in the program itself, so that nobody can tell whose it is."""

import asyncio
import contextlib
import dataclasses
import datetime
import json
import random
import sys
import time

from leases import GIB, MIB
from sim_claims import Claims, OverCapacity
from wharf_harness import DEMO, ROOT, SLOWNESS, WHARF, demo

CLASSES = ["foreground", "normal", "background"]
DEVICES = ["gpu0", "gpu1"]
CAPACITY = 24 * GIB
# Short enough that many turn overdue, so that bounds bite.
MAX_WAIT_S = {"foreground": 1, "normal": 1.5, "background": 2}
# limit, and after how long a waiter goes before others; slots of "aged" alone are asked for, so that
# its bound is one of gates alone.
GATES = {"one": (1, None), "three": (3, None), "aged": (1, 2)}
MODELS = {"small": 2 * GIB, "middle": 7 * GIB, "large": 15 * GIB}
MIN_RESIDENT_S = 0.05
SIM_JOB = str(ROOT / "tests" / "e2e" / "sim_claims.py")
COMMANDS_MAX = 12  # at once: each is a handful of processes


@dataclasses.dataclass
class Job:
    name: str
    kind: str  # held, ttl, run, submit
    at_s: float
    work_s: float
    klass: str
    bytes: int = 0
    gpus: int = 1
    devices: tuple = ()  # any, when empty
    gates: tuple = ()
    run_s: float | None = None
    grace_s: float | None = None  # of a revocable one
    marked: bool = False  # a process of its own

    def mask(self):
        return self.devices or tuple(DEVICES)

    def terms(self):
        terms = {"name": self.name, "class": self.klass}
        if self.bytes:
            terms |= {"vram": self.bytes, "gpus": self.gpus}
        if self.devices:
            terms["devices"] = list(self.devices)
        if self.gates:
            terms["gates"] = list(self.gates)
        if self.run_s:
            terms["run"] = f"{round(self.run_s * 1000)}ms"
        if self.grace_s:
            terms |= {"revocable": True, "grace": f"{round(self.grace_s * 1000)}ms"}
        if self.kind == "ttl":
            terms["ttl"] = "10m"
        return terms

    def words(self):
        words = ["--name", self.name, "--class", self.klass]
        if self.bytes:
            words += ["--vram", str(self.bytes), "--gpus", str(self.gpus)]
        words += [word for device in self.devices for word in ("--device", device)]
        words += [word for gate in self.gates for word in ("--gate", gate)]
        if self.run_s:
            words += ["--run", f"{round(self.run_s * 1000)}ms"]
        return [*words, "--", sys.executable, "-IS", SIM_JOB, "hold", str(self.bytes), str(self.work_s)]


def draw_bytes(rng):
    kind = rng.random()
    if kind < 0.62:
        return rng.choice([256 * MIB, 512 * MIB, GIB, 2 * GIB])
    if kind < 0.86:
        return rng.choice([3 * GIB, 5 * GIB, 8 * GIB])
    return rng.choice([12 * GIB, 16 * GIB]) if kind < 0.96 else CAPACITY


def draw(rng, index, count):
    """The count-th part of a second between two of them, on average; a quarter come in crowds."""
    at = rng.random() * count / 50
    if rng.random() < 0.25:
        at = at // 2 * 2
    kind = rng.choices(["held", "ttl", "run", "submit"], [78, 10, 7, 5])[0]
    job = Job(f"j{index:04}", kind, at, rng.choice([0.005, 0.01, 0.02, 0.05, 0.1]) * rng.uniform(0.5, 1.5),
              rng.choices(CLASSES, [20, 35, 45])[0])
    use = rng.random()
    if use < 0.06:
        job.gates = ("aged",)
        return job
    if use < 0.25:
        job.gates = (("one",), ("three",), ("one", "three"))[rng.choices(range(3), [3, 5, 1])[0]]
    if use >= 0.10:
        job.bytes = draw_bytes(rng)
        job.gpus = 2 if rng.random() < 0.1 else 1
        if job.gpus == 1 and rng.random() < 0.15:
            job.devices = (rng.choice(DEVICES),)
    ends = rng.random()
    if ends < 0.2:
        job.run_s = 1
    elif ends < 0.4:
        job.run_s = 3
        job.work_s = min(job.work_s * 6, 0.6)
    if kind in ("run", "submit"):  # their command is ended when its time is over
        job.run_s = job.run_s and 30
    job.marked = bool(job.bytes) and rng.random() < 0.5
    if kind == "held" and job.bytes and rng.random() < 0.25:
        job.grace_s, job.work_s = 5 * SLOWNESS, max(job.work_s, 0.3)
    return job


def draw_jobs(seed, count):
    rng = random.Random(f"jobs {seed}")
    return sorted((draw(rng, i, count) for i in range(count)), key=lambda job: job.at_s)


def config():
    gates = {name: {"limit": limit, **({"maxWait": f"{max_s}s"} if max_s else {})}
             for name, (limit, max_s) in GATES.items()}
    return {
        "logLevel": "debug",  # says when nothing of an ended lease is left
        "gpus": [{"sim": {"name": name, "memory": CAPACITY}, "sample": "50ms"} for name in DEVICES],
        "routing": {"scheduler": {"settings": {"fair": {"minResident": f"{int(MIN_RESIDENT_S * 1000)}ms"}}}},
        "classes": {name: {"maxWait": f"{int(seconds * 1000)}ms"} for name, seconds in MAX_WAIT_S.items()},
        "gates": gates,
        "models": {name: demo(name, "--load-time", "60ms", "--token-delay", "2ms", vram=f"{bytes_ // GIB}GiB")
                   for name, bytes_ in MODELS.items()}}


def when(text):
    """A moment as the daemon writes it, in seconds since 1970."""
    return datetime.datetime.fromisoformat(text).timestamp()


class Reply:
    """The answer to one request on a connection of its own."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def head(self):
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines if line)}
        return self

    async def pieces(self):
        if "content-length" in self.headers:
            yield await self.reader.readexactly(int(self.headers["content-length"]))
            return
        while size := int(await self.reader.readline(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]

    async def lines(self):
        rest = b""
        async for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line

    async def json(self):
        return json.loads(b"".join([piece async for piece in self.pieces()]))


class World:
    """One run. Afterwards: events, in order; requests: (model, class, asked, ended); done: {name: how
    long each job worked}; faults: what nobody should have seen."""

    def __init__(self, d, unix, jobs):
        self.d, self.unix, self.jobs = d, unix, jobs
        self.events, self.requests, self.open_requests = [], [], {}
        self.done, self.faults, self.mine, self.numbers = {}, [], {}, iter(range(10**9, 2 * 10**9))
        self.ledger_samples, self.rng = 0, random.Random(len(jobs))
        self.retries, self.over = [], asyncio.Event()
        self.commands = asyncio.Semaphore(COMMANDS_MAX)

    @contextlib.asynccontextmanager
    async def ask(self, method, path, body=None, headers=""):
        reader, writer = await asyncio.open_connection(*self.d.address, limit=1 << 22)
        try:
            text = json.dumps(body).encode() if body is not None else b""
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: h\r\n{headers}Content-Type: application/json\r\n"
                         f"Content-Length: {len(text)}\r\n\r\n".encode() + text)
            yield await Reply(reader, writer).head()
        finally:
            writer.close()

    # -- jobs

    @contextlib.asynccontextmanager
    async def working(self, job, granted):
        """With what the job was granted, on the simulated GPUs."""
        assert len(granted["devices"]) == (job.gpus if job.bytes else 0), granted
        if job.marked:
            async with self.process(job, granted["environment"]):
                yield
            return
        folders = granted["environment"]["WHARF_SIM_FOLDER"].split("\n") if job.bytes else []
        try:
            claims = Claims(folders, next(self.numbers), job.bytes, self.mine)
        except OverCapacity as e:
            self.faults.append(f"{job.name}: {e}")
            yield
            return
        yield
        claims.end()

    @contextlib.asynccontextmanager
    async def process(self, job, environment):
        env = {k: v for k, v in self.d.env.items() if k != "WHARF_TEST_ID"}
        env |= {"WHARF_TEST_JOBS": self.d.test_id, **environment}
        process = await asyncio.create_subprocess_exec(
            str(DEMO), "--port", "0", "--vram", str(job.bytes), env=env, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        said = b""
        while b"all slots are idle" not in said and (line := await process.stdout.readline()):
            said += line
        yield
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        said += (await process.communicate())[0]
        if process.returncode != 0:
            self.faults.append(f"{job.name}: {process.returncode}, {said.decode()}")

    async def held(self, job):
        """True when it was revoked before its work was done."""
        async with self.ask("POST", "/wharf/leases", job.terms()) as reply:
            assert reply.status == 200, f"{job}: {reply.status} {await reply.json()}"
            lines = reply.lines()
            line = first = json.loads(await anext(lines))
            while line.get("state") != "granted":
                line = json.loads(await anext(lines))
                assert line.get("state") in ("waiting", "granted", None), f"{job}: {line}"
            async with self.working(job, line):
                revoked = await self.is_revoked(job, lines)
            if self.rng.random() < 0.5:
                await self.end(first)
        return revoked

    async def is_revoked(self, job, lines):
        """Before its work is done."""
        ends = time.monotonic() + job.work_s
        while (left := ends - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                line = json.loads(await asyncio.wait_for(anext(lines), left))
                assert line.get("state") in ("revoked", None), f"{job}: {line}"
                if line.get("state") == "revoked":
                    return True
        return False

    async def with_ttl(self, job):
        async with self.ask("POST", "/wharf/leases", job.terms()) as reply:
            granted = await reply.json()
            assert reply.status == 201, f"{job}: {reply.status} {granted}"
        async with self.working(job, granted):
            await asyncio.sleep(job.work_s)
        await self.end(granted)

    async def end(self, line):
        async with self.ask("DELETE", f"/wharf/leases/{line['lease']}", {"token": line["token"]}) as reply:
            assert reply.status == 204, f"{line}: {reply.status}"

    async def command(self, *words):
        url = self.rng.choice([self.d.url, self.unix])
        env = {k: v for k, v in self.d.env.items() if k != "WHARF_TEST_ID"}
        env |= {"WHARF_URL": url, "XDG_STATE_HOME": str(self.d.folder / "user"), "WHARF_TEST_JOBS": self.d.test_id}
        process = await asyncio.create_subprocess_exec(
            str(WHARF), *words, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE)
        out, err = await process.communicate()
        assert process.returncode == 0, f"{words}: {process.returncode} {out} {err}"
        return out.decode()

    async def run(self, job):
        async with self.commands:
            await self.command("run", *job.words())

    async def submit(self, job):
        async with self.commands:
            number = (await self.command("submit", *job.words())).split()[0]
            await self.command("jobs", "wait", number)

    async def go(self, job, start):
        await asyncio.sleep(max(0, start + job.at_s - time.monotonic()))
        work = {"held": self.held, "ttl": self.with_ttl, "run": self.run, "submit": self.submit}[job.kind]
        while await work(job):
            # Once is enough to show it; a job that was always revoked would never be done.
            job = dataclasses.replace(job, name=job.name + "again", grace_s=None)
            self.retries.append(job)
        self.done[job.name.removesuffix("again")] = job

    # -- everybody else

    async def follow(self, ready):
        async with self.ask("GET", "/wharf/events", headers="Accept: text/event-stream\r\n") as reply:
            ready.set()
            async for line in reply.lines():
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    self.events.append(event)

    async def ledger(self):
        """The daemon's own books, as often as they can be read."""
        while not self.over.is_set():
            async with self.ask("GET", "/wharf/devices") as reply:
                for device in (await reply.json())["devices"]:
                    self.ledger_samples += 1
                    charged = sum(device[k] for k in ("own_bytes", "leased_bytes", "settling_bytes"))
                    if charged > device["total_bytes"] or device["used_bytes"] > device["total_bytes"]:
                        self.faults.append(f"the ledger: {device}")
            await asyncio.sleep(0.005)

    async def client(self, index):
        """Asks for models all the time, a little rest between."""
        rng = random.Random(f"client {index}")
        while not self.over.is_set():
            model, klass, asked = rng.choice(list(MODELS)), rng.choice(CLASSES), time.time()
            self.open_requests[index] = (model, klass, asked)
            body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
            async with self.ask("POST", "/v1/chat/completions", body, f"X-Wharf-Class: {klass}\r\n") as reply:
                answer = await reply.json()
                if reply.status != 200:
                    self.faults.append(f"a request for {model}: {reply.status} {answer}")
            self.requests.append((*self.open_requests.pop(index), time.time()))
            await asyncio.sleep(rng.uniform(0.01, 0.15))

    async def live(self, clients):
        ready = asyncio.Event()
        follower = asyncio.create_task(self.follow(ready))
        await ready.wait()
        others = [asyncio.create_task(self.client(i)) for i in range(clients)]
        others.append(asyncio.create_task(self.ledger()))
        start = self.began = time.monotonic()
        jobs = [asyncio.create_task(self.go(job, start)) for job in self.jobs]
        try:
            await asyncio.gather(*jobs)
            self.took_s = time.monotonic() - start
            self.over.set()
            await asyncio.gather(*others)
            while sum(e["type"] == "lease_ended" for e in self.events) < len(self.jobs) + len(self.retries):
                await asyncio.sleep(0.01)
        finally:
            for task in (*jobs, *others, follower):
                task.cancel()
            await asyncio.gather(*jobs, *others, follower, return_exceptions=True)

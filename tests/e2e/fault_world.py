"""A daemon under a mixed load whose system fails underneath, and what has to be true of it afterwards.

The load is one pass: two models that put each other out, a stream, a body that is spooled, a lease, a
reload, logs that are followed, and the history. Each call may fail while faults last; none may hang."""

import collections
import contextlib
import os
import pathlib
import re
import signal

from books import books_agree, known
from faults import Faults
from leases import Lease
from wharf_harness import SECONDS, SLOWNESS, chat_body, demo, until

DEVICES = ["gpu0"]
MODELS = {"large": "5GiB", "other": "5GiB", "small": "1GiB"}
LONG_TEXT = "x" * 200_000
RECOVERY_SECONDS = 10 * SLOWNESS


def config(folder, **keys):
    return {"gpus": [{"sim": {"name": "gpu0", "memory": "8GiB"}, "sample": "50ms"}],
            "gates": {"one": {"limit": 1}}, "unloadTimeout": 2, "leaseGrace": "1s",
            "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}},
            "store": {"path": str(pathlib.Path(folder) / "history.sqlite")},
            "models": {name: demo(name, "--load-time", "1ms", vram=vram) for name, vram in MODELS.items()},
            **keys}


def descriptors(pid):
    """How many there are of each kind of file, socket and pipe. libuv keeps one of nothing for the day on
    which there are no more, and takes / for it afterwards."""
    found = collections.Counter()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            kind = re.sub(r"\[\d+\]", "", os.readlink(f"/proc/{pid}/fd/{name}"))
            found["/dev/null" if kind == "/" else kind] += 1
    return found


class World:
    """faults: a Faults; d: the daemon, which start() begins."""

    def __init__(self, wharf, folder, **keys):
        self.wharf, self.folder, self.faults = wharf, folder, Faults(folder)
        self.config, self.d, self.failures = config(folder, **keys), None, []
        self.faults.set_folder(folder)

    def start(self, **options):
        self.d = self.wharf(self.config, env=self.faults.env, **options)
        return self.d

    def start_with_all_in_state(self, prepare=lambda state: None):
        """The history too, which needs the folder to be there; prepare(state) comes between."""
        d = self.start()
        d.stop()
        prepare(d.state)
        self.faults.set_folder(d.state)
        self.faults.await_process()
        self.config["store"] = {"path": str(d.state / "history.sqlite")}
        d.write_config(self.config)
        d.start()
        return d

    def begins(self, what):
        """Starts the daemon once more. True: it serves. False: it has said why not, and ended."""
        d = self.d
        d.start(wait=False)
        listen = d.state / "listen"

        def decided():
            return d.process.poll() is not None or (listen.exists() and listen.read_text().endswith("\n"))
        until(decided, f"{what}: a start, or an end: {d.stderr[-3000:]}")
        self.faults.clear()
        with contextlib.suppress(OSError, AssertionError):  # it may end a moment later
            d.wait_started(listen)
            return True
        d.wait()
        d.stopped_on_purpose = True
        assert d.process.returncode in (1, 2), f"{what}: {d.process.returncode}: {d.stderr}"
        assert self.last_words(), f"{what}: not a word"
        assert not d.everything(), f"{what}: {d.describe_tree()}"
        return False

    def last_words(self):
        """Of a daemon that did not start: errors, and what was said before it had a log."""
        return [line for line in self.d.stderr.splitlines() if " error " in line or not line.startswith("2")]

    def attempt(self, work):
        """True: it went as it should. What fails is noted; what hangs is the test's end."""
        try:
            work()
            return True
        except TimeoutError:
            raise AssertionError(f"{work.__name__} hangs; stderr: {self.d.stderr[-3000:]}") from None
        except (OSError, AssertionError, ValueError, StopIteration) as e:
            assert "not within" not in str(e), f"{work.__name__}: {e}; stderr: {self.d.stderr[-3000:]}"
            self.failures.append((work.__name__, repr(e)[:200]))
            return False

    # ---- the load

    def chat_large(self):
        self.d.ok(self.d.chat("large", max_tokens=2))

    def chat_other(self):
        self.d.ok(self.d.chat("other", max_tokens=2))

    def stream(self):
        with self.d.connect() as c:
            c.request("POST", "/v1/chat/completions", chat_body("small", stream=True, max_tokens=4))
            answer = c.head()
            assert answer.status == 200, answer
            for _ in c.sse(answer):
                pass
            assert answer.complete

    def spooled(self):
        self.d.ok(self.d.chat("small", LONG_TEXT, max_tokens=1))

    def lease(self):
        lease = Lease(self.d, vram="512MiB", gates=["one"], wait="5s")
        with contextlib.closing(lease):
            assert lease.answer.status == 200, lease.answer
            if lease.state == "waiting":
                lease.until("granted")

    def reload(self):
        self.d.signal(signal.SIGHUP)
        self.d.ok(self.d.get("/wharf/status"))

    def look(self):
        for path in ("/api/metrics/activity", "/logs", "/wharf/devices", "/metrics"):
            self.d.ok(self.d.get(path))

    def follow(self):
        with self.d.connect() as c:
            answer = c.request("GET", "/logs/stream/upstream").head()
            assert answer.status == 200, answer

    def works(self):
        return [self.chat_large, self.stream, self.follow, self.chat_other, self.spooled, self.lease,
                self.reload, self.look]

    def load(self):
        """How many of the pass's calls failed."""
        return sum(not self.attempt(work) for work in self.works())

    # ---- what has to be true

    def must_live(self, what):
        status = self.d.process.poll()
        assert status is None, f"{what}: the daemon ended with {status}: {self.d.stderr[-3000:]}"

    def must_recover(self, what):
        """Without faults: within seconds all works, nothing is degraded and the books are equal."""
        def works():
            self.must_live(what)
            self.failures.clear()
            return self.load() == 0
        until(works, f"{what}: all to work again; {self.failures}", RECOVERY_SECONDS)
        self.unload()
        until(lambda: not self.troubles(), f"{what}: no trouble to be left: {self.troubles()}", RECOVERY_SECONDS)
        until(lambda: books_agree(self.d, DEVICES), f"{what}: the books", RECOVERY_SECONDS)
        assert set(self.d.engines()) == known(self.d), what
        assert self.d.ok(self.d.get("/health"))

    def troubles(self):
        return self.d.ok(self.d.get("/wharf/status")).json()["degradations"]

    def rest(self):
        """Its descriptors with nothing at work."""
        self.unload()
        self.d.until_archived()
        return descriptors(self.d.pid)

    def unload(self):
        self.d.ok(self.d.post("/api/models/unload"))
        until(lambda: not self.d.engines(), "models to be gone")

    def must_leak_nothing(self, before, what):
        def leaked():
            return self.rest() - before
        until(lambda: not leaked(), f"{what}: no descriptors to be left: {leaked()}", RECOVERY_SECONDS)

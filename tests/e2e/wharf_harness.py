"""What the end-to-end tests are made of: a daemon, its clients, its events, and scripted upstreams.

A daemon runs with port 0 and folders of its own, so tests run side by side. Every process below it
inherits WHARF_TEST_ID, by which the end of each test finds out, without asking the daemon, that
nothing was left behind.
"""

import contextlib
import json
import os
import pathlib
import random
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid

from fakes.ports import ENGINES, free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WHARF_BUILD_DIR", ROOT / "build")).resolve()
WHARF = BUILD / "wharf"
DEMO = BUILD / "wharf-demo-model"
ACTIVATOR = ROOT / "tests/e2e/fakes/activator.py"
WRAP = shlex.split(os.environ.get("WHARF_WRAP", ""))
SANITIZED = WHARF.is_file() and b"__asan_init" in WHARF.read_bytes()
# How much longer everything may take: under valgrind or sanitizers, or on a slow machine.
SLOWNESS = float(os.environ.get("WHARF_SLOWNESS", 8 if WRAP else 3 if SANITIZED else 1))
SECONDS = 10 * SLOWNESS
POLL_S = 0.01

REPORTS = re.compile(
    r"(ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|^==\d+== (Invalid|Conditional|Use of|"
    r"Syscall param|Source and destination|Mismatched|Process terminating|.*(definitely|indirectly) "
    r"lost: [1-9]|.* definitely lost in loss record)|must\(|assertion .*failed)", re.M | re.I)


def until(condition, what, seconds=SECONDS):
    """The first true value of condition(); for what has no event that could be waited for."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_S)


def wait_exit(pid, seconds=SECONDS):
    """Waits until a process that is not ours to reap has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], seconds)[0], f"process {pid} did not end in {seconds:g} s"
    finally:
        os.close(fd)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_with(variable):
    """Ids of living processes that have NAME=VALUE in their environment."""
    found = []
    wanted = variable.encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            env = pathlib.Path(f"/proc/{entry}/environ").read_bytes()
            if wanted in env.split(b"\0") and is_alive(int(entry)):
                found.append(int(entry))
    return sorted(found)


def command_line(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]


def settled_command_line(pid):
    """[] for one that has ended: while a process begins or ends it has none for a moment, but lives."""
    def look():
        with contextlib.suppress(OSError):
            words = command_line(pid)
            if words:
                return words
        return not is_alive(pid)
    words = until(look, f"a command line, or the end, of process {pid}")
    return [] if words is True else words


def rss_kib(pid, field="VmRSS"):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1))


def reserve_ports():
    """(first, token): 20 ports which no other test on this machine starts engines on, until the
    token is closed. wharf finds out that a port is free before its engine binds it, and two daemons
    that look at the same time find the same one."""
    while True:
        first = random.randrange(ENGINES.start, ENGINES.stop, 20)
        token = socket.socket(socket.AF_UNIX)
        try:
            token.bind(f"\0wharf-test-ports-{first}")  # an abstract name goes with its socket
            return first, token
        except OSError:
            token.close()


# ---------------------------------------------------------------- HTTP, byte by byte


class Answer:
    def __init__(self, status, reason, headers, version="HTTP/1.1"):
        self.status, self.reason, self.headers, self.version = status, reason, headers, version
        self.body = b""
        self.complete = False  # the framing says that the body ended

    def header(self, name, default=None):
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else default

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json()["error"]

    @property
    def message(self):
        return self.error["message"]

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {self.body[:600]!r}>"


class Gone(ConnectionError):
    """The other side closed the connection where more was to come."""


class Connection:
    """A client connection on which every byte is the test's own. Reads are strict (RFC 9112)."""

    def __init__(self, address, seconds=SECONDS, receive_buffer=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(seconds)
        self.sock.connect(address)
        self.buffer = b""
        self.host = "localhost" if isinstance(address, str) else "%s:%d" % address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)
        return self

    def request(self, method, path, body=None, headers=None, host=None):
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        if body is not None and "Transfer-Encoding" not in headers:
            headers.setdefault("Content-Length", str(len(body)))
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host or self.host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))
        return self

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise Gone("the daemon closed the connection")
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def exactly(self, n):
        while len(self.buffer) < n:
            self.fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def some(self, n):
        """At least one byte, at most n."""
        if not self.buffer:
            self.fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def head(self):
        match = re.fullmatch(r"(HTTP/1\.[01]) (\d{3}) ?(.*)", line := self.line())
        assert match, f"no status line: {line!r}"
        headers = []
        while line := self.line():
            name, colon, value = line.partition(":")
            assert colon and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), f"header {line!r}"
            headers.append((name, value.strip(" \t")))
        return Answer(int(match[2]), match[3], headers, match[1])

    def pieces(self, answer, method="GET"):
        """The body as it arrives. Sets answer.complete when it ended as it should."""
        coding, length = answer.header("Transfer-Encoding"), answer.header("Content-Length")
        assert not (coding and length), f"two framings: {answer.headers}"
        if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
            answer.complete = True
        elif coding:
            assert coding.lower() == "chunked"
            while size := int(self.line(), 16):
                left = size
                while left:
                    piece = self.some(left)
                    left -= len(piece)
                    yield piece
                assert self.exactly(2) == b"\r\n", "a chunk does not end where it should"
            while self.line():
                pass
            answer.complete = True
        elif length is not None:
            left = int(length)
            while left:
                piece = self.some(left)
                left -= len(piece)
                yield piece
            answer.complete = True
        else:
            with contextlib.suppress(Gone):
                while True:
                    yield self.some(65536)
            answer.complete = True

    def answer(self, method="GET"):
        """The next whole answer; one that was cut has complete == False."""
        answer = self.head()
        while answer.status == 100:
            answer = self.head()
        body = []
        try:
            for piece in self.pieces(answer, method):
                body.append(piece)
        except ConnectionError:
            pass
        answer.body = b"".join(body)
        return answer

    def ask(self, method, path, body=None, headers=None, host=None):
        return self.request(method, path, body, headers, host).answer(method)

    def is_closed(self):
        """Waits for the daemon's close; False when it sends something instead."""
        if self.buffer:
            return False
        try:
            self.fill()
        except ConnectionError:
            return True
        return False

    def sse(self, answer):
        """Events of a text/event-stream answer, as they arrive: {field: text}."""
        text = b""
        for piece in self.pieces(answer):
            text += piece
            while b"\n\n" in text:
                block, text = text.split(b"\n\n", 1)
                event = {}
                for line in block.decode().split("\n"):
                    name, _, value = line.partition(":")
                    if name:
                        event[name] = event[name] + "\n" + value[1:] if name in event else \
                            value.removeprefix(" ")
                if event:
                    yield event


# ---------------------------------------------------------------- the daemon's events


class Events:
    """Follows /wharf/events from the moment it is made; tests wait for events, they never sleep."""

    def __init__(self, daemon, last_event_id=None, headers=None):
        headers = dict(headers or {}, Accept="text/event-stream")
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        self.daemon = daemon
        self.connection = daemon.connect(seconds=None)
        self.connection.request("GET", "/wharf/events", headers=headers)
        self.answer = self.connection.head()
        assert self.answer.status == 200, self.answer
        assert self.answer.header("Content-Type").startswith("text/event-stream")
        self.seen, self.cursors, self.ended = [], {}, False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self):
        try:
            for event in self.connection.sse(self.answer):
                if "data" not in event:
                    continue
                data = json.loads(event["data"])
                data["sse"] = event
                with self.changed:
                    self.seen.append(data)
                    self.changed.notify_all()
        except (OSError, ValueError):
            pass
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    @staticmethod
    def _matches(event, type_, details):
        got = event.get("details", {})
        return event.get("type") == type_ and all(got.get(k) == v for k, v in details.items())

    def wait_for(self, type_, seconds=SECONDS, **details):
        """The next event of that type with those details; each call goes on behind the last."""
        key = (type_, tuple(sorted(details.items())))
        deadline = time.monotonic() + seconds
        with self.changed:
            while True:
                for i in range(self.cursors.get(key, 0), len(self.seen)):
                    if self._matches(self.seen[i], type_, details):
                        self.cursors[key] = i + 1
                        return self.seen[i]
                left = deadline - time.monotonic()
                assert left > 0 and not self.ended, \
                    f"no event {type_} {details}; came: {self.summary()}"
                self.changed.wait(left)

    def catch_up(self):
        """Until what has happened so far is seen: reloads the same configuration as a mark."""
        self.daemon.signal(signal.SIGHUP)
        self.wait_for("config_reloaded")
        return self

    def all(self, type_, **details):
        """The events of that type which have been seen; see catch_up."""
        with self.changed:
            return [e for e in self.seen if self._matches(e, type_, details)]

    def count(self, type_, **details):
        return len(self.all(type_, **details))

    def order(self, *types):
        """(type, model) of the events of these types, in order."""
        with self.changed:
            return [(e["type"], e["details"].get("model")) for e in self.seen if e["type"] in types]

    def summary(self):
        return [(e.get("type"), e.get("details")) for e in self.seen]

    def close(self):
        with contextlib.suppress(OSError):
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()
        self.thread.join(SECONDS)


# ---------------------------------------------------------------- the daemon


def demo(name, /, *flags, vram=None, **keys):
    """A model that the pretended engine serves."""
    words = [str(DEMO), "--port", "${PORT}", "--name", name, *map(str, flags)]
    if vram:
        words += ["--vram", vram]
        keys["vram"] = vram
    return {"cmd": shlex.join(words).replace("'${PORT}'", "${PORT}"),
            "proxy": "http://127.0.0.1:${PORT}", **keys}


def held(model, flag):
    """That model, with an engine that only begins when the file is there."""
    return {**model, "cmd": f"/bin/sh -c 'until test -e {flag}; do sleep 0.02; done; "
                            f"exec {model['cmd']}'"}


def models(*names, **keys):
    return {"models": {name: demo(name, **keys) for name in names}}


class Daemon:
    def __init__(self, folder, config, *, cgroup="off", env=None, listen="127.0.0.1:0", args=(),
                 wrap=True, wait=True, command=None, handed=(), files=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = self.folder / "state"
        self.config_path = self.folder / "wharf.yaml"
        self.stderr_path = self.folder / "stderr.txt"
        self.test_id = uuid.uuid4().hex
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("WHARF_")}
        # A machine without GPUs, whatever there is.
        (self.folder / "machine").mkdir(exist_ok=True)
        self.env.update({"WHARF_NVML": "no-such-library.so", "WHARF_GPU_ROOT": str(self.folder / "machine"),
                         "WHARF_TEST_ID": self.test_id, "WHARF_CGROUP": str(cgroup), **(env or {})})
        self.env = {k: v for k, v in self.env.items() if v is not None}
        self.listen, self.args, self.wrap = listen, list(args), WRAP if wrap else []
        # The program and its arguments up to the configuration, where that is not `wharf serve`.
        self.command = command or [str(WHARF), "serve", "--config", str(self.config_path)]
        # Its limit of open files, soft and hard; None: this one's.
        self.files = files
        # Sockets that a service manager would hand over, and what it calls them: [(socket, name)].
        self.handed = list(handed)
        self.clients, self.subscriptions = [], []
        self.start_port, self.ports = reserve_ports()
        self.stopped_on_purpose = False
        self.write_config(config)
        self.start(wait)

    # -- life

    def write_config(self, config):
        if isinstance(config, dict):
            config = {"startPort": self.start_port, **config}
            config = json.dumps(config, indent=1)
        # In one step: a reload that is under way reads the old text or the new one.
        new = self.config_path.with_suffix(f".{uuid.uuid4().hex}")
        new.write_text(config)
        new.replace(self.config_path)

    def start(self, wait=True):
        listen_file = self.state / "listen"
        listen_file.unlink(missing_ok=True)
        listens = [self.listen] if isinstance(self.listen, str) else list(self.listen or [])
        command = [*self.wrap, *self.command]
        for listen in listens:
            command += ["--listen", listen]
        command += ["--state", str(self.state), *self.args]
        if self.files:
            command = ["/bin/sh", "-c", f'ulimit -n {self.files}; exec "$@"', "sh", *command]
        fds = [s.fileno() for s, _ in self.handed]
        if fds:
            command = [sys.executable, str(ACTIVATOR),
                       *(f"{fd}:{name}" for fd, (_, name) in zip(fds, self.handed)), "--", *command]
        with open(self.stderr_path, "ab") as err:
            self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL,
                                            stdout=err, stderr=err, start_new_session=True,
                                            pass_fds=fds)
        self.pid = self.process.pid
        self.words = None  # its command line, once it was read
        self.stopped_on_purpose = False
        if wait:
            self.wait_started(listen_file)
            self.words = command_line(self.pid)

    def wait_started(self, listen_file):
        def bound():
            assert self.process.poll() is None, \
                f"exit {self.process.returncode} at start: {self.stderr}"
            with contextlib.suppress(FileNotFoundError):
                text = listen_file.read_text()
                return text if text.endswith("\n") else None
            return None

        text = until(bound, "the file listen in the state folder")
        self.addresses = text.split()
        first = self.addresses[0]
        host, _, port = first.rpartition(":")
        self.address = first.removeprefix("unix:") if first.startswith("unix:") else \
            (host, int(port))
        self.url = f"http://{first}"
        assert self.get("/health").status == 200

    @property
    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def everything(self):
        """Living processes below the daemon."""
        return [p for p in processes_with(f"WHARF_TEST_ID={self.test_id}")
                if p not in (self.pid, os.getpid())]

    def probes(self):
        """Its GPU probe, which on a machine without GPUs lives for a moment only."""
        found = []
        for pid in self.everything():
            with contextlib.suppress(OSError):
                if command_line(pid)[1:] == ["gpu-probe"]:
                    found.append(pid)
        return found

    def models_among(self, pids):
        """Without its GPU probe, which a copy of itself becomes."""
        def is_models(pid):
            words = settled_command_line(pid)
            return bool(words) and words[1:2] != ["gpu-probe"] and words != self.words
        if is_alive(self.pid):
            self.words = command_line(self.pid)
        return [p for p in pids if is_models(p)]

    def tree(self):
        """Those that it has started for models."""
        return self.models_among(self.everything())

    def engines(self, name=None):
        """The main processes of running demo models."""
        found = []
        for pid in self.tree():
            with contextlib.suppress(OSError):
                words = command_line(pid)
                if words and words[0] == str(DEMO) and \
                        (name is None or words[words.index("--name") + 1] == name):
                    found.append(pid)
        return found

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=None):
        try:
            return self.process.wait(seconds or SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon did not end; processes {self.tree()}; stderr: "
                                 f"{self.stderr[-3000:]}") from None

    def stop(self, seconds=None):
        self.signal(signal.SIGTERM)
        status = self.wait(seconds)
        self.stopped_on_purpose = True
        assert status == 0, f"exit {status}: {self.stderr[-3000:]}"
        assert not self.everything(), self.describe_tree()
        return self

    def kill(self):
        """As the out-of-memory killer would: nothing is tidied up."""
        self.process.kill()
        self.process.wait()
        self.stopped_on_purpose = True

    def describe_tree(self):
        lines = []
        for pid in self.everything():
            with contextlib.suppress(OSError):
                lines.append(f"{pid}: {' '.join(command_line(pid))}")
        return "left behind: " + "; ".join(lines)

    def finish(self):
        """What holds after every test: exit 0 on SIGTERM, nobody left behind, no reports."""
        for s in self.subscriptions:
            s.close()
        for c in self.clients:
            c.close()
        problems = []
        if not self.stopped_on_purpose:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
                try:
                    self.process.wait(4 * SECONDS)
                except subprocess.TimeoutExpired:
                    problems.append("did not end after SIGTERM")
                    self.process.kill()
                    self.process.wait()
            if self.process.returncode != 0:
                problems.append(f"exit status {self.process.returncode}")
        if self.everything():
            problems.append(self.describe_tree())
            for pid in self.everything():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        self.ports.close()
        if match := REPORTS.search(self.stderr):
            problems.append("a report: " + self.stderr[match.start():match.start() + 3000])
        assert not problems, f"{'; '.join(problems)}\nstderr:\n{self.stderr[-4000:]}"

    # -- clients

    def connect(self, seconds=SECONDS, **options):
        c = Connection(self.address, seconds, **options)
        self.clients.append(c)
        return c

    def ask(self, method, path, body=None, headers=None, seconds=SECONDS):
        with Connection(self.address, seconds) as c:
            return c.ask(method, path, body, headers)

    def get(self, path, headers=None):
        return self.ask("GET", path, headers=headers)

    def post(self, path, body=None, headers=None, seconds=SECONDS):
        return self.ask("POST", path, b"" if body is None else body, headers, seconds)

    def chat(self, model, text="hello", headers=None, seconds=SECONDS, **keys):
        return self.post("/v1/chat/completions", chat_body(model, text, **keys), headers, seconds)

    def ok(self, answer):
        assert answer.status == 200 and answer.complete, f"{answer}\nstderr: {self.stderr[-3000:]}"
        return answer

    def until_archived(self):
        """Until its thread has opened history.db: then there are no more descriptors than there will be."""
        def opened():
            with contextlib.suppress(OSError):
                return any(os.readlink(f"/proc/{self.pid}/fd/{n}").endswith("history.db-shm")
                           for n in os.listdir(f"/proc/{self.pid}/fd"))
        until(opened, "history.db to be open")

    def events(self, **options):
        events = Events(self, **options)
        self.subscriptions.append(events)
        return events

    def model(self, name):
        return self.ok(self.get(f"/wharf/models/{name}")).json()

    def state_of(self, name):
        return self.model(name)["state"]

    def load(self, name):
        answer = self.ok(self.post(f"/wharf/models/{name}/load")).json()
        assert answer["state"] == "loaded", answer
        return answer

    def until_model(self, name, seconds=SECONDS, **wanted):
        """Waits for counters, which have no events of their own."""
        def right():
            m = self.model(name)
            return m if all(m[k] == v for k, v in wanted.items()) else None
        return until(right, f"{name} with {wanted}; is {self.model(name)}", seconds)

    def reload(self, config, event="config_reloaded"):
        self.write_config(config)
        events = self.events()
        self.signal(signal.SIGHUP)
        return events.wait_for(event)

    def cli(self, *args, key=None, seconds=None, check=None):
        env = dict(self.env, WHARF_URL=self.url, **({"WHARF_KEY": key} if key else {}))
        run = subprocess.run([str(WHARF), *args], env=env, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=seconds or SECONDS)
        if check is not None:
            assert run.returncode == check, run
        return run


def chat_body(model, text="hello", **keys):
    return {"model": model, "messages": [{"role": "user", "content": text}], **keys}


def content(answer):
    """The text of a chat completion, whole or streamed."""
    if answer.header("Content-Type").startswith("text/event-stream"):
        text, done = "", False
        for block in answer.text.split("\n\n"):
            data = block.removeprefix("data: ").strip()
            if data == "[DONE]":
                done = True
            elif data:
                choices = json.loads(data).get("choices") or [{"delta": {}}]
                text += choices[0]["delta"].get("content") or ""
        assert done, f"the stream has no [DONE]: {answer.text[-300:]}"
        return text
    return answer.json()["choices"][0]["message"]["content"]


def together(count, work):
    """work(i) on `count` threads, all let go at once; results in order, the first error raised."""
    results, errors = [None] * count, []
    gate = threading.Barrier(count)

    def run(i):
        try:
            gate.wait(SECONDS)
            results[i] = work(i)
        except BaseException as e:  # told to the test's own thread
            errors.append(e)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(6 * SECONDS)
        assert not t.is_alive(), "a client is still waiting"
    if errors:
        raise errors[0]
    return results


class Later:
    """A call on a thread of its own."""

    def __init__(self, work, *args, **keys):
        self.value = self.error = None

        def run():
            try:
                self.value = work(*args, **keys)
            except BaseException as e:
                self.error = e

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    @property
    def done(self):
        return not self.thread.is_alive()

    def result(self, seconds=3 * SECONDS):
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "the call has not returned"
        if self.error:
            raise self.error
        return self.value


# ---------------------------------------------------------------- scripted upstreams


class Peer:
    """A connection that wharf opened to a scripted upstream."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise Gone("wharf closed the connection")
        self.buffer += data

    def head(self):
        """(request line, {name: value}) with names in lower case; repeated ones joined by commas."""
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return first, headers

    def exactly(self, n):
        while len(self.buffer) < n:
            self.fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def body(self, headers):
        if "content-length" in headers:
            return self.exactly(int(headers["content-length"]))
        body = b""
        if "transfer-encoding" in headers:
            assert headers["transfer-encoding"] == "chunked"
            while True:
                while b"\r\n" not in self.buffer:
                    self.fill()
                line, self.buffer = self.buffer.split(b"\r\n", 1)
                size = int(line, 16)
                body += self.exactly(size)
                assert self.exactly(2) == b"\r\n"
                if size == 0:
                    break
        return body

    def request(self):
        line, headers = self.head()
        return line, headers, self.body(headers)

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def answer(self, body=b"{}", status=200, kind="application/json", extra=""):
        body = body.encode() if isinstance(body, str) else body
        self.send(f"HTTP/1.1 {status} Scripted\r\nContent-Type: {kind}\r\nContent-Length: "
                  f"{len(body)}\r\n{extra}\r\n".encode() + body)

    def chunk(self, data):
        data = data.encode() if isinstance(data, str) else data
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def is_closed(self):
        """Waits until wharf closes; False when it sends something instead."""
        try:
            self.fill()
        except ConnectionError:
            return True
        return False


SSE_HEAD = ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            "Transfer-Encoding: chunked\r\n\r\n")


class Upstream:
    """A server whose every byte the test dictates: script(peer, number of the connection)."""

    def __init__(self, script):
        self.script, self.peers, self.errors, self.closing = script, [], [], False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                sock.settimeout(3 * SECONDS)
                peer = Peer(sock)
                self.peers.append(peer)
                threading.Thread(target=self._run, args=(peer, len(self.peers)),
                                 daemon=True).start()

    def _run(self, peer, number):
        try:
            self.script(peer, number)
        except ConnectionError:
            pass
        except Exception as e:  # told at the test's end
            if not self.closing:
                self.errors.append(e)
        finally:
            with contextlib.suppress(OSError):
                peer.close()

    def model(self, **keys):
        """The configuration of a model whose process does nothing and whose server is this."""
        return {"cmd": "sleep 3600", "proxy": f"http://127.0.0.1:{self.port}",
                "checkEndpoint": "none", **keys}

    def close(self):
        self.closing = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
            peer.close()
        if self.errors:
            raise AssertionError("the scripted upstream failed") from self.errors[0]


def serve_requests(answer):
    """A script for keep-alive connections: answer(peer, line, headers, body) for each request."""
    def script(peer, _):
        while True:
            answer(peer, *peer.request())
    return script


# ---------------------------------------------------------------- cgroups


class Cgroup:
    """A cgroup2 mount of the tests' own, with a folder for each daemon."""

    def __init__(self, folder):
        self.mount = pathlib.Path(folder)
        self.mount.mkdir()
        self.why_not = None
        if os.geteuid() != 0:
            self.why_not = "mounting a cgroup2 needs root"
        else:
            run = subprocess.run(["mount", "-t", "cgroup2", "none", str(self.mount)],
                                 capture_output=True, text=True)
            if run.returncode != 0:
                self.why_not = "no cgroup2 can be mounted: " + run.stderr.strip()
        self.folders = []

    def folder(self):
        path = self.mount / f"wharf-test-{uuid.uuid4().hex}"
        path.mkdir()
        self.folders.append(path)
        return path

    @staticmethod
    def members(folder):
        return [int(p) for f in pathlib.Path(folder).rglob("cgroup.procs")
                for p in f.read_text().split()]

    def remove(self, folder):
        """Fails while a process is in it: that is the test."""
        assert not self.members(folder), f"processes left in {folder}: {self.members(folder)}"
        for path, _, _ in os.walk(folder, topdown=False):
            os.rmdir(path)
        self.folders.remove(folder)

    def close(self):
        for folder in list(self.folders):
            with contextlib.suppress(OSError, AssertionError):
                self.remove(folder)
        if not self.why_not:
            subprocess.run(["umount", str(self.mount)], check=False)


def check_config(text, folder):
    """`wharf check` on a text: (exit status, everything that it printed)."""
    path = pathlib.Path(folder) / "checked.yaml"
    path.write_text(text if isinstance(text, str) else json.dumps(text, indent=1))
    run = subprocess.run([str(WHARF), "check", str(path)], capture_output=True, text=True,
                         timeout=SECONDS)
    return run.returncode, (run.stdout + run.stderr).replace(str(path), "FILE")

"""A scripted Ollama server, as a process of its own with a runner process for each loaded model.

A runner holds its bytes on a simulated GPU as wharf's demo model does: a file named by its process id
in the GPU's folder, with a record lock on it. So whose memory it is can be found out as with a real
one: by the server's tree of processes.

    o = Ollama(tmp_path, gpu=folder, models={"qwen3-vl:8b": {"vram": 6 * GIB}})
    o.url, o.pid, o.close()

`models` maps the names of what was pulled to {"vram": bytes on the GPU, "size": bytes in all (vram),
"embeds": it only embeds (False), "gpu": another folder}. gpu None: nothing is claimed anywhere.
Further options of Ollama(): load_s, unload_s: how long either takes
(0.05); warm_s: how long a load goes on once its runner holds its memory (0); port: a fixed one; unix: a
path to listen on; tls: (certificate, key); resets: a request without keep_alive sets it to 5 minutes,
as old versions do (False); version.

What happened, and what is there:
    o.calls([path])     requests so far: {"method", "path", "body"}, in order of arrival
    o.forget()          forgets them
    o.loaded()          {name: {"pid", "vram", "expires": seconds from now, None: never}}
    o.load(name), o.run(name)   as `ollama run` would: with Ollama's own keep_alive of 5 minutes
    o.wait_call(path, count=1)  waits until that many requests for the path have come

Scripts; each holds until o.behave(), which ends all lies and slowness:
    o.down(), o.up()    nobody listens, though the runners stay; and again, at the same address
    o.kill()            SIGKILL, and its runners end; o.start() begins anew at the same address
    o.slow(seconds, only=None)  answers come later; only: "load", "unload" or "list"
    o.die_mid_load()    at the next load, once its runner has claimed its memory
    o.fail_loads(status, error)
    o.lie_about_loads() 200, and nothing is loaded
    o.lie_about_unloads("list" | "bytes")  200, and it stays in the list, or out of it in memory
    o.spill(name, vram) from its next load on, so much of it is on the GPU
    o.stranger(name, vram)      somebody else's model, which was not in `models`, is loaded
    o.evict(name)       Ollama unloads it by itself
    o.restart(name)     another runner in its place, as for a request with another num_ctx
    o.cut(path)         the next request for the path is cut off

A real server can stand in where nothing is scripted: see backends/conftest.py.
"""

import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import select
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

MIB = 1 << 20
GIB = 1 << 30
FIVE_MINUTES = 300.0
SECONDS = 30


# ---------------------------------------------------------------- for tests


class Ollama:
    def __init__(self, folder, gpu, models, **options):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.options = {"gpu": str(gpu) if gpu else None, "models": models,
                        "control": str(self.folder / "control"), **options}
        if not options.get("unix"):
            from fakes.ports import free_port  # the server itself knows no such module
            self.options.setdefault("port", free_port())
        self.process = None
        self.start()

    def start(self):
        """Begins (again), where it listened before."""
        pathlib.Path(self.options["control"]).unlink(missing_ok=True)
        # Not of the daemon's, whatever that is told by the environment.
        env = {k: v for k, v in os.environ.items() if not k.startswith("WHARF_")}
        self.process = subprocess.Popen([sys.executable, "-E", "-S", __file__, "serve"], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(json.dumps(self.options).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the fake Ollama did not start"
        self.options["port"] = json.loads(line)["port"]
        self.pid = self.process.pid
        if self.options.get("unix"):
            self.url = f"unix:{self.options['unix']}"
        else:
            scheme = "https" if self.options.get("tls") else "http"
            self.url = f"{scheme}://127.0.0.1:{self.options['port']}"
        return self

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()  # it ends, and its runners do
        self.process.wait(SECONDS)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait(SECONDS)
        self.process.stdout.close()

    def do(self, what, **keys):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(SECONDS)
            s.connect(self.options["control"])
            s.sendall(json.dumps({"do": what, **keys}).encode() + b"\n")
            with s.makefile() as f:
                answer = json.loads(f.readline())
        assert "error" not in answer, answer
        return answer.get("ok")

    def calls(self, path=None):
        return [c for c in self.do("calls") if path in (None, c["path"])]

    def wait_call(self, path, count=1):
        assert self.do("wait_call", path=path, count=count), f"no {count} calls of {path}"

    def model(self, name, **keys):
        """For wharf's configuration."""
        return {"backend": "ollama", "endpoint": self.url, "model": name, **keys}

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        def run(*args, **keys):
            return self.do(name, args=list(args), **keys)
        return run


# ---------------------------------------------------------------- a runner


def claim(folder, size):
    """As the demo model does it; False: there is not so much."""
    folder = pathlib.Path(folder)
    with open(folder / "lock", "a+") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        used = 0
        for path in folder.iterdir():
            if not path.name.isdigit():
                continue
            with contextlib.suppress(OSError, ValueError), open(path, "r+") as f:
                try:
                    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()  # its process has ended
                except OSError:
                    used += int(f.read() or 0)
        if used + size > int((folder / "capacity").read_text()):
            return None
        mine = open(folder / str(os.getpid()), "w")
        mine.write(f"{size}\n")
        mine.flush()
        fcntl.lockf(mine, fcntl.LOCK_EX)
        return mine


def runner(folder, size):
    held = claim(folder, int(size)) if folder and int(size) else True
    sys.stdout.write("loaded\n" if held else "full\n")
    sys.stdout.flush()
    sys.stdin.read()  # until the server has ended it, or itself


class Runner:
    def __init__(self, name, folder, vram, size):
        self.name, self.vram, self.size, self.expires = name, vram, size, None
        self.process = subprocess.Popen(
            [sys.executable, "-E", "-S", __file__, "runner", folder or "", str(vram)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.fits = self.process.stdout.readline() == b"loaded\n"

    def end(self):
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# ---------------------------------------------------------------- the server


def same(a, b):
    def whole(name):
        return (name if ":" in name else f"{name}:latest").lower()
    return whole(a) == whole(b)


class Failure(Exception):
    def __init__(self, status, error):
        super().__init__(error)
        self.status, self.error = status, error


class Cut(Exception):
    """The client's connection ends."""


class State:
    def __init__(self, options):
        self.options = options
        self.pulled = dict(options["models"])
        self.runners = {}   # by name: those in the list
        self.hidden = []    # in memory alone
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.seen = []
        self.gate = threading.Lock()  # one load at a time
        self.behave()

    def behave(self):
        with self.lock:
            self.slowness, self.dies, self.failure, self.lie_load, self.lie_unload = {}, False, None, \
                False, None
            self.cuts, self.awake = set(), getattr(self, "awake", None) or threading.Event()
            for r in getattr(self, "hidden", []):
                r.end()
            self.hidden = []
            self.awake.set()
            self.awake = threading.Event()

    # -- what requests do

    def pause(self, kind, seconds, connection=None):
        """Waits, unless a script ends it, or the client leaves."""
        until = time.monotonic() + seconds + self.slowness.get(kind, self.slowness.get(None, 0))
        awake = self.awake
        while True:
            if connection and select.select([connection], [], [], 0)[0]:
                with contextlib.suppress(OSError):
                    if not connection.recv(1, socket.MSG_PEEK):
                        raise Cut
            left = until - time.monotonic()
            if left <= 0 or awake.is_set():
                return
            awake.wait(min(left, 0.02))

    def find(self, name):
        for known in self.pulled:
            if same(known, name):
                return known
        raise Failure(404, f"model '{name}' not found")

    def held(self, name):
        for known, r in self.runners.items():
            if same(known, name):
                return r
        return None

    def load(self, name, connection=None):
        name = self.find(name)
        with self.gate:
            with self.lock:
                if r := self.held(name):
                    return r
                if self.failure:
                    raise Failure(*self.failure)
                if self.lie_load:
                    return None
            self.pause("load", self.options.get("load_s", 0.05), connection)
            spec = self.pulled[name]
            r = Runner(name, spec.get("gpu", self.options["gpu"]), spec["vram"],
                       spec.get("size", spec["vram"]))
            if self.dies:
                os._exit(9)
            try:
                self.pause("warm", self.options.get("warm_s", 0), connection)
            except Cut:  # as Ollama does it: nobody waits for it any more
                r.end()
                raise
            if not r.fits:
                r.end()
                raise Failure(500, "llama runner process has terminated: cudaMalloc failed: out of memory")
            with self.lock:
                r.expires = time.time() + FIVE_MINUTES
                self.runners[name] = r
                return r

    def keep(self, r, keep_alive):
        with self.lock:
            if keep_alive is None:
                if self.options.get("resets"):
                    r.expires = time.time() + FIVE_MINUTES
            elif float(keep_alive) < 0:
                r.expires = None
            else:
                r.expires = time.time() + float(keep_alive)

    def unload(self, name):
        with self.lock:
            r = self.held(name)
            lie = self.lie_unload
        if not r or lie == "list":
            return
        if lie == "bytes":
            with self.lock:
                self.hidden.append(self.runners.pop(r.name))
            return

        def later():
            self.pause("free", self.options.get("unload_s", 0.05))
            with self.lock:
                if self.runners.get(r.name) is not r:
                    return
                del self.runners[r.name]
            r.end()
        threading.Thread(target=later, daemon=True).start()

    def list(self):
        with self.lock:
            return [{"name": r.name, "model": r.name, "size": r.size, "size_vram": r.vram,
                     "digest": "0" * 64, "details": {"family": "fake"},
                     "expires_at": "2318-06-01T00:00:00.5Z" if r.expires is None else
                     datetime.datetime.fromtimestamp(r.expires, datetime.timezone.utc).isoformat()}
                    for r in self.runners.values()]

    def note(self, method, path, body):
        with self.changed:
            self.seen.append({"method": method, "path": path, "body": body})
            self.changed.notify_all()
            if path in self.cuts:
                self.cuts.discard(path)
                raise Cut

    # -- scripts

    def script(self, what, args, keys):
        handler = getattr(self, f"do_{what}", None)
        if not handler:
            raise Failure(0, f"no script {what}")
        return handler(*args, **keys)

    def do_calls(self):
        with self.lock:
            return list(self.seen)

    def do_forget(self):
        with self.lock:
            self.seen.clear()

    def do_wait_call(self, path, count=1):
        with self.changed:
            return self.changed.wait_for(
                lambda: sum(c["path"] == path for c in self.seen) >= count, SECONDS)

    def do_loaded(self):
        with self.lock:
            return {r.name: {"pid": r.process.pid, "vram": r.vram,
                             "expires": r.expires and r.expires - time.time()}
                    for r in self.runners.values()}

    def do_load(self, name):
        self.load(name)

    do_run = do_load

    def do_behave(self):
        self.behave()

    def do_slow(self, seconds, only=None):
        with self.lock:
            self.slowness = {only: seconds}

    def do_die_mid_load(self):
        self.dies = True

    def do_fail_loads(self, status, error):
        self.failure = (status, error)

    def do_lie_about_loads(self):
        self.lie_load = True

    def do_lie_about_unloads(self, how):
        self.lie_unload = how

    def do_spill(self, name, vram):
        spec = self.pulled[self.find(name)]
        self.pulled[self.find(name)] = {"size": spec["vram"], **spec, "vram": vram}

    def do_stranger(self, name, vram):
        self.pulled[name] = {"vram": vram}
        self.load(name)

    def do_evict(self, name):
        with self.lock:
            r = self.held(name)
            del self.runners[r.name]
        r.end()

    def do_restart(self, name):
        with self.gate:
            with self.lock:
                old = self.held(name)
            old.end()
            r = Runner(old.name, self.options["gpu"], old.vram, old.size)
            with self.lock:
                r.expires = old.expires
                self.runners[old.name] = r

    def do_cut(self, path):
        self.cuts.add(path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def log_message(self, *args):
        pass

    def address_string(self):
        return "client"

    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            raise Failure(411, "the fake wants a length")
        text = self.rfile.read(length)
        body = json.loads(text) if text else None
        state = self.server.state
        state.note(self.command, self.path, body)
        routes = {"/api/ps": self.ps, "/api/tags": self.tags, "/api/version": self.version, "/api/generate": self.generate,
                  "/api/chat": self.chat, "/api/embed": self.embed,
                  "/v1/chat/completions": self.completions, "/v1/embeddings": self.embeddings}
        if self.path not in routes:
            raise Failure(404, "404 page not found")
        routes[self.path](state, body)

    def handle_any(self):
        try:
            self.serve()
        except Failure as e:
            self.answer({"error": e.error}, e.status)
        except (Cut, OSError):
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = handle_any

    def ps(self, state, body):
        state.pause("list", 0)
        self.answer({"models": state.list()})

    def tags(self, state, body):
        self.answer({"models": [
            {"name": name if ":" in name else f"{name}:latest", "size": spec.get("size", spec["vram"]),
             "details": {"family": "fakebert" if spec.get("embeds") else "fake"}}
            for name, spec in state.pulled.items()]})

    def version(self, state, body):
        self.answer({"version": state.options.get("version", "0.99.1")})

    def use(self, state, body, embeds=False):
        """The model is loaded, for a request."""
        spec = state.pulled[state.find(body["model"])]
        if spec.get("embeds") and not embeds:
            raise Failure(400, f'"{body["model"]}" does not support generate')
        r = state.load(body["model"], self.connection)
        if r:
            state.keep(r, body.get("keep_alive"))
        return r

    def generate(self, state, body):
        done = {"model": body["model"], "created_at": "2026-01-01T00:00:00Z", "response": "", "done": True}
        if not body.get("prompt") and body.get("keep_alive") == 0:
            state.find(body["model"])
            state.pause("unload", 0)
            state.unload(body["model"])
            self.answer({**done, "done_reason": "unload"})
            return
        self.use(state, body)
        prompt = body.get("prompt")
        self.answer({**done, "response": f"native: {prompt}" if prompt else "",
                     "done_reason": "stop" if prompt else "load"})

    def chat(self, state, body):
        self.use(state, body)
        last = body["messages"][-1]["content"] if body.get("messages") else ""
        self.answer({"model": body["model"], "created_at": "2026-01-01T00:00:00Z", "done": True,
                     "done_reason": "stop", "message": {"role": "assistant", "content": f"native: {last}"}})

    def embed(self, state, body):
        self.use(state, body, embeds=True)
        self.answer({"model": body["model"], "embeddings": [[0.5, 0.25]] if body.get("input") else []})

    def completions(self, state, body):
        self.use(state, body)
        self.answer({"id": "c", "object": "chat.completion", "created": 1, "model": body["model"],
                     "choices": [{"index": 0, "finish_reason": "stop", "message": {
                         "role": "assistant", "content": "openai: " + body["messages"][-1]["content"]}}],
                     "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})

    def embeddings(self, state, body):
        self.use(state, body, embeds=True)
        self.answer({"object": "list", "model": body["model"],
                     "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]})


class Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, state):
        options = state.options
        self.state, self.connections = state, set()
        if options.get("unix"):
            self.address_family = socket.AF_UNIX
            pathlib.Path(options["unix"]).unlink(missing_ok=True)
        super().__init__(options.get("unix") or ("127.0.0.1", options.get("port") or 0), Handler)
        if not options.get("unix"):
            options["port"] = self.server_address[1]
        self.context = None
        if options.get("tls"):
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*options["tls"])
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def process_request_thread(self, request, client_address):
        self.connections.add(request)
        try:
            if self.context:
                request = self.context.wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except OSError:
            pass
        finally:
            self.connections.discard(request)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def stop(self):
        self.shutdown()
        self.server_close()
        for c in list(self.connections):
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)


def control(server, state, listeners):
    """Commands of the test, a line each."""
    def run(line):
        command = json.loads(line)
        what, args = command.pop("do"), command.pop("args", [])
        if what == "down":
            listeners.pop().stop()
        elif what == "up":
            listeners.append(Listener(state))
        else:
            return state.script(what, args, command)
        return None

    def serve(connection):
        with connection, connection.makefile("rw") as f:
            try:
                answer = {"ok": run(f.readline())}
            except Exception as e:  # the test is told
                answer = {"error": repr(e)}
            f.write(json.dumps(answer) + "\n")

    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


def serve():
    state = State(json.loads(sys.stdin.readline()))
    listeners = [Listener(state)]
    commands = socket.socket(socket.AF_UNIX)
    commands.bind(state.options["control"])
    commands.listen(16)
    threading.Thread(target=control, args=(commands, state, listeners), daemon=True).start()
    sys.stdout.write(json.dumps({"port": state.options.get("port")}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()  # the test closes it, or ends
    os._exit(0)       # the runners see their input end


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        runner(*sys.argv[2:])

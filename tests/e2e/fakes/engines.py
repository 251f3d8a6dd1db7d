#!/usr/bin/env python3
"""Engines that give their memory back and take it again, as the real ones do and as they misbehave.

A process that claims memory on the simulated GPU of its environment (src/gpu/sim.h), serves chats,
and knows the calls of one engine. Every request is a line of its log: what was asked, and with which
key. What it does wrong is one word:

  absent          it does not know the calls: 404
  refuses         its sleep is answered with 500, and nothing happens
  keeps           sleeps, by what it says, and frees nothing
  half            frees half of it
  deaf            its sleep is answered with 200, and nothing happens
  hangs_on_sleep, hangs_on_wake
  oom_on_wake     takes half of its memory, answers 500 and is neither asleep nor awake
  stays_asleep    its wake is answered with 500, and it sleeps on
  dies_on_wake    ends in the middle of it
  busy            never has an empty queue
  slow_sleep, slow_chat: answered when /fake/go has been asked for
"""

import argparse
import fcntl
import json
import os
import pathlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

RESIDUE = 512 << 20
LAZY_S = 0.2  # ComfyUI frees between two prompts, not when it is told to


class Memory:
    """This process's claims; each file stays open, because closing it would drop its lock."""

    def __init__(self):
        self.files = []
        for folder in os.environ.get("WHARF_SIM_FOLDER", "").split("\n"):
            if folder:
                f = os.open(pathlib.Path(folder) / str(os.getpid()), os.O_RDWR | os.O_CREAT, 0o644)
                fcntl.lockf(f, fcntl.LOCK_EX)
                self.files.append(f)

    def set(self, size):
        share = size // max(1, len(self.files))
        for f in self.files:
            os.pwrite(f, b"%-20d\n" % share, 0)


class Engine:
    """What all have in common; each says at which path it is told what."""

    sleep_paths, wake_paths = {}, {}

    def __init__(self, options):
        self.vram, self.fault, self.key = options.vram, options.fault, options.key
        self.log = open(options.log, "a", buffering=1) if options.log else None
        self.lock, self.go = threading.Lock(), threading.Event()
        self.memory = Memory()
        self.memory.set(self.vram)
        self.asleep = self.garbage = False

    def note(self, **what):
        with self.lock:
            if self.log:
                self.log.write(json.dumps(what) + "\n")

    def left(self):
        return {"keeps": self.vram, "half": self.vram // 2}.get(self.fault, RESIDUE)

    def sleep(self):
        if self.fault == "refuses":
            return 500, {"error": "no"}
        if self.fault == "hangs_on_sleep":
            threading.Event().wait()
        if self.fault == "slow_sleep":
            self.go.wait()
        if self.fault != "deaf":
            self.asleep = True
            self.free()
        return 200, self.slept()

    def free(self):
        self.memory.set(self.left())

    def slept(self):
        return None

    def wake(self):
        if self.fault == "hangs_on_wake":
            threading.Event().wait()
        if self.fault == "dies_on_wake":
            os._exit(1)
        if self.fault == "stays_asleep":
            return 500, {"error": "CUDA out of memory"}
        if self.fault == "oom_on_wake":
            self.memory.set(self.vram // 2)
            self.asleep = False
            return 500, {"error": "CUDA out of memory"}
        self.wake_up()
        return 200, None

    def wake_up(self):
        self.memory.set(self.vram)
        self.asleep = False

    def chat(self):
        if self.asleep:
            return 500, {"error": "a request has reached a sleeping engine"}
        if self.fault == "slow_chat":
            self.go.wait()
        text = "garbage" if self.garbage else "well"
        return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}

    def refused(self, key):
        return None

    def ask(self, method, path, query, body, key):
        """(status, answer) of what is the engine's own; None: it has no such path."""
        if path == "/health":
            return 200, {}
        if path == "/fake/wake":  # somebody else's request wakes it
            self.wake_up()
            return 200, {}
        if path == "/fake/go":
            self.go.set()
            return 200, {}
        if path == "/v1/chat/completions":
            return self.chat()
        if self.fault == "absent":
            return 404, {"detail": "Not Found"}
        if method == "POST" and path in self.sleep_paths and self.sleep_paths[path](body):
            return self.refused(key) or self.sleep()
        if method == "POST" and path in self.wake_paths and self.wake_paths[path](body):
            return self.refused(key) or self.wake()
        return None


class Vllm(Engine):
    """Weights that were dropped (level 2) have to be read again before the cache comes back."""

    def __init__(self, options):
        super().__init__(options)
        self.level, self.steps = 0, []

    def ask(self, method, path, query, body, key):
        if self.fault != "absent" and (method, path) == ("GET", "/is_sleeping"):
            return 200, {"is_sleeping": self.asleep}
        if self.fault != "absent" and method == "POST":
            if path == "/sleep":
                self.level = int(query.get("level", ["1"])[0])
                self.steps = []
                return self.sleep()
            if path == "/wake_up":
                self.steps.append(query.get("tags", ["all"])[0])
                done = self.steps[-1] in ("all", "kv_cache")
                return self.wake() if done else (200, None)
            if path == "/collective_rpc":
                self.steps.append(json.loads(body)["method"])
                return 200, {"results": [None]}
        return super().ask(method, path, query, body, key)

    def wake_up(self):
        super().wake_up()
        read_again = self.steps == ["weights", "reload_weights", "kv_cache"]
        self.garbage = self.level == 2 and not read_again


class Sglang(Engine):
    sleep_paths = {"/release_memory_occupation": lambda body: json.loads(body) == {}}
    wake_paths = {"/resume_memory_occupation": lambda body: json.loads(body) == {}}


class Comfyui(Engine):
    """It cannot be woken: the next prompt loads again."""

    sleep_paths = {"/free": lambda body: json.loads(body) == {"unload_models": True,
                                                              "free_memory": True}}

    def free(self):
        threading.Timer(LAZY_S, super().free).start()

    def chat(self):
        if self.asleep:
            self.wake_up()
        return super().chat()

    def ask(self, method, path, query, body, key):
        if path == "/queue":
            busy = self.fault == "busy"
            return 200, {"queue_running": [[0, "p"]] if busy else [], "queue_pending": [ ]}
        return super().ask(method, path, query, body, key)


class A1111(Engine):
    sleep_paths = {"/sdapi/v1/unload-checkpoint": lambda body: True}
    wake_paths = {"/sdapi/v1/reload-checkpoint": lambda body: True}


class Tabby(Engine):
    """Needs its admin key; a load is a stream of events, which ends with an error or with the model."""

    sleep_paths = {"/v1/model/unload": lambda body: True}
    wake_paths = {"/v1/model/load": lambda body: json.loads(body) == {"model_name": 'a "b"'}}

    def refused(self, key):
        return None if key == f"Bearer {self.key}" else (401, {"detail": "Please provide an admin key"})

    def wake(self):
        status, answer = super().wake()
        if status != 200:  # which comes too late for a status
            self.asleep = True
            return 200, 'data: {"error": {"message": "CUDA out of memory"}}\n\n'
        return 200, "".join(f'data: {{"module": {n}, "modules": 9, "status": "processing"}}\n\n'
                            for n in range(10))

    def ask(self, method, path, query, body, key):
        if (method, path) == ("GET", "/v1/model") and self.fault != "absent":
            return self.refused(key) or ((503, {"detail": "No models are currently loaded."})
                                         if self.asleep else (200, {"id": "m"}))
        return super().ask(method, path, query, body, key)


class Http(Engine):
    """One that nobody has heard of, with calls that the configuration has to say."""

    def ask(self, method, path, query, body, key):
        if self.fault == "absent":
            pass
        elif (method, path) == ("GET", "/state"):
            return 200, {"engine": {"mode": "dozing" if self.asleep else "up"}}
        elif (method, path, query) == ("PUT", "/doze", {"deep": ["1"]}):
            return self.sleep()
        elif (method, path, body) == ("POST", "/rouse", b'{"now": true}'):
            return self.wake()
        return super().ask(method, path, query, body, key)


ENGINES = {c.__name__.lower(): c for c in (Vllm, Sglang, Comfyui, A1111, Tabby, Http)}


def handler_of(engine):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            key = self.headers.get("Authorization")
            if url.path != "/health":
                engine.note(method=self.command, path=self.path, body=body.decode(), key=key)
            status, answer = engine.ask(self.command, url.path, parse_qs(url.query), body, key) \
                or (404, {"detail": "Not Found"})
            text = answer if isinstance(answer, str) else "" if answer is None else json.dumps(answer)
            self.send_response(status)
            kind = "text/event-stream" if isinstance(answer, str) else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_):
            pass

    return Handler


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--engine", choices=ENGINES, required=True)
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--vram", type=int, required=True, help="bytes")
    p.add_argument("--fault", default="none")
    p.add_argument("--log")
    p.add_argument("--key", default="secret-admin-key")
    options = p.parse_args()
    engine = ENGINES[options.engine](options)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), handler_of(engine))
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()

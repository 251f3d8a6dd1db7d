#!/usr/bin/env python3
"""The smallest worker: a model of your own that wharf moves between a GPU and the CPU.

    ./worker.py http://127.0.0.1:8080 clip

for a configuration with

    models:
      clip: {backend: worker, devices: {cuda: {vram: 500MiB}, cpu: {}}}

Put your own model where it says so: with PyTorch, `load` is `model.to(device)` and `unload` drops
it and calls torch.cuda.empty_cache(). What is said over the wire is in docs/worker.md. Only Python's
own library is used.
"""

import hashlib
import http.client
import http.server
import json
import os
import sys
import threading
import time
import urllib.parse

PROBE = "a photo of a harbour"


class Model:
    """Your model. This one turns a text into eight numbers, on whichever device."""

    device = None  # "cuda", "cpu", or None: not loaded

    def load(self, device):
        self.device = device

    def unload(self):
        self.device = None

    def embed(self, text):
        return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:8]]


model = Model()
expected = model.embed(PROBE)


class Requests(http.server.BaseHTTPRequestHandler):
    """What wharf passes on to it; nothing comes while it moves."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"object": "list", "model": body.get("model"), "data": [
            {"object": "embedding", "index": 0, "embedding": model.embed(str(body["input"]))}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def connect(url, timeout=None):
    parts = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout)


def post(connection, path, body):
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("WHARF_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    connection.request("POST", path, json.dumps(body), headers)
    return connection.getresponse()


def carry_out(order):
    """Does what it is told, checks it, and says where the model is now."""
    error = None
    try:
        if order["do"] in ("load", "move"):
            before = model.device
            model.load(order["device"])
            if model.embed(PROBE) != expected:
                model.load(before) if before else model.unload()
                error = "the model computes something else there"
        elif order["do"] == "unload":
            model.unload()
    except Exception as e:  # whatever your model throws
        error = str(e)
    return {"id": order["id"], "ok": error is None, "checked": error is None, "device": model.device,
            **({"error": error} if error else {})}


def serve(url, name, port):
    """Registers, and follows orders until the connection ends."""
    held = connect(url, timeout=45)  # a ping comes every 15 seconds
    answer = post(held, "/wharf/workers", {
        "model": name, "devices": ["cuda", "cpu"], "device": model.device, "pid": os.getpid(),
        "proxy": f"http://127.0.0.1:{port}"})
    if answer.status != 200:
        print("not registered:", answer.read().decode(), file=sys.stderr)
        return
    token = None
    for line in answer:
        order = json.loads(line)
        if "worker" in order:
            token = order["worker"]
        elif "id" in order:
            connection = connect(url, timeout=10)
            post(connection, f"/wharf/workers/{token}", carry_out(order)).read()
            connection.close()


def main(url, name):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    model.load("cpu")
    while True:
        try:
            serve(url, name, server.server_port)
        except (OSError, http.client.HTTPException, ValueError) as e:
            print("wharf:", e, file=sys.stderr)
        time.sleep(1)  # wharf may be starting, or may have dropped us


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A daemon that speaks the leases' protocol as a test tells it to.

Each ask becomes an Asked, which the test takes with `next()` and then drives line by line; with
`grants=True` every ask is granted at once."""

import contextlib
import itertools
import json
import queue
import socket
import threading

SECONDS = 20
GIB = 1 << 30
UUIDS = ["GPU-00001111-2222-3333-4444-555555555555", "GPU-99991111-2222-3333-4444-555555555555"]


class Asked:
    """One lease, over all the connections that it has had."""

    def __init__(self, server, number, body):
        self.server, self.body = server, body
        self.id, self.token = f"lease{number}", f"secret{number}"
        self.first = {"lease": self.id, "token": self.token}
        self.granted = False
        self.connections = 0
        self.renewals = 0
        self.gone = threading.Event()  # its last connection has ended, or it was given back
        self.sock = None

    def take(self, sock):
        self.sock = sock
        self.connections += 1
        self.gone.clear()
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")

    def line(self, **members):
        self.raw(json.dumps({**self.first, **members}).encode() + b"\n")
        self.first = {"lease": self.id}

    def raw(self, data):
        self.sock.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def ping(self):
        self.raw(b'{"ping":true}\n')

    def waiting(self, position=1, estimate_s=8, why="for memory on gpu0"):
        self.line(state="waiting", position=position, estimate_s=estimate_s, **{"for": why})

    def grant_members(self):
        uuids = UUIDS[:self.body.get("gpus", 1)] if "vram" in self.body else []
        environment = {"WHARF_LEASE": f"{self.id}:{self.token}"}
        if uuids:
            environment.update(CUDA_VISIBLE_DEVICES=",".join(uuids), HIP_VISIBLE_DEVICES=",".join(uuids))
        return {"state": "granted", "waited_s": 0.5, "environment": environment,
                "devices": [{"name": f"gpu{i}", "uuid": u, "bytes": self.body["vram"]}
                            for i, u in enumerate(uuids)]}

    def grant(self):
        self.granted = True
        self.line(**self.grant_members())

    def revoke(self, grace_s=30, reason="somebody else has waited for too long"):
        self.line(state="revoked", reason=reason, grace_s=grace_s)

    def end(self, reason="it was ended by an operator"):
        self.line(state="ended", reason=reason)
        self.finish()

    def refuse(self, code, message):
        self.line(state="refused", error={"code": code, "message": message})
        self.finish()

    def finish(self):
        with contextlib.suppress(OSError):  # the other side may end it first
            self.sock.sendall(b"0\r\n\r\n")
            self.sock.shutdown(socket.SHUT_WR)

    def cut(self):
        """The connection ends as when the daemon is killed."""
        self.sock.shutdown(socket.SHUT_RDWR)

    def wait_gone(self):
        assert self.gone.wait(SECONDS), "the lease was not given back"


class LeaseServer:
    def __init__(self, grants=False, port=0, known=(), numbers=None):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.grants = grants
        self.answers = queue.Queue()  # (status, JSON) for the next asks, in place of a lease
        self.asked = queue.Queue()
        self.resumed = queue.Queue()
        self.known = {lease.id: lease for lease in known}
        self.numbers = numbers or itertools.count(1)
        self.sockets, self.lock, self.closed = set(), threading.Lock(), False
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def next(self):
        return self.asked.get(timeout=SECONDS)

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.sockets.add(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        with contextlib.suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                data += self.more(sock)
            head, _, body = data.partition(b"\r\n\r\n")
            length = next((int(h.split(b":")[1]) for h in head.split(b"\r\n")[1:]
                           if h.lower().startswith(b"content-length:")), 0)
            while len(body) < length:
                body += self.more(sock)
            method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
            self.route(sock, method, path, json.loads(body or b"{}"))
        with self.lock:
            self.sockets.discard(sock)
        sock.close()

    @staticmethod
    def more(sock):
        data = sock.recv(65536)
        if not data:
            raise ConnectionError("ended")
        return data

    @staticmethod
    def answer(sock, status, body=None):
        text = json.dumps(body).encode() if body is not None else b""
        sock.sendall(f"HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\n"
                     f"Content-Length: {len(text)}\r\n\r\n".encode() + text)

    def error(self, sock, status, code, message):
        self.answer(sock, status, {"error": {"code": code, "message": message}})

    def route(self, sock, method, path, body):
        name = path.removeprefix("/wharf/leases").strip("/")
        if method == "GET":
            self.answer(sock, 200, {"leases": [
                {"id": lease.id, "name": lease.body.get("name"), "position": None if lease.granted else 4,
                 "state": "granted" if lease.granted else "waiting"} for lease in self.known.values()]})
        elif not name:
            self.ask(sock, body)
        elif name not in self.known:
            self.error(sock, 404, "lease_not_found", "no such lease")
        elif self.known[name].token != body.get("token"):
            self.error(sock, 403, "forbidden", "that is not its token")
        elif method == "POST":
            self.resume(sock, self.known[name])
        elif method == "PUT":
            self.known[name].renewals += 1
            self.answer(sock, 200, {"lease": name, "state": "granted", "expires_s": 3})
        else:
            self.known.pop(name).gone.set()
            self.answer(sock, 204)

    def ask(self, sock, body):
        with contextlib.suppress(queue.Empty):
            status, text = self.answers.get_nowait()
            self.answer(sock, status, text)
            return
        with self.lock:
            lease = Asked(self, next(self.numbers), body)
            self.known[lease.id] = lease
        if "ttl" in body:
            lease.granted = True
            self.answer(sock, 201, {**lease.first, **lease.grant_members(), "expires_s": 3})
            self.asked.put(lease)
            return
        lease.take(sock)
        if self.grants:
            lease.grant()
        self.asked.put(lease)
        self.hold(sock, lease)

    def resume(self, sock, lease):
        lease.take(sock)
        lease.grant()
        self.resumed.put(lease)
        self.hold(sock, lease)

    def hold(self, sock, lease):
        with contextlib.suppress(OSError):
            while sock.recv(4096):
                pass
        if not self.closed:
            lease.gone.set()

    def close(self):
        """As a daemon that is killed: every connection ends, and nothing is said."""
        self.closed = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for sock in self.sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(SECONDS)

    def restart(self, **options):
        """Another one at the same address, which knows the leases that were granted."""
        if not self.closed:
            self.close()
        granted = [v for v in self.known.values() if v.granted]
        return LeaseServer(port=self.port, known=granted, numbers=self.numbers, **options)

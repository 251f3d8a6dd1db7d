"""What an open stream costs in memory."""

import contextlib
import os
import resource
import selectors
import shlex
import socket
import time

from common import (DEMO, HOST, Bar, Daemon, Failure, ask, chat_request, is_ok, memory, socket_kib)

OPEN_SECONDS_MAX = 120
TOKENS_MIN = 3
AT_ONCE = 100


def raise_file_limit(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise Failure(f"{wanted} open files are needed, {hard} are allowed")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def config(count):
    words = [str(DEMO), "--port", "PORT", "--name", "bench", "--token-delay", "1s",
             "--tokens", "100000", "--connections", str(count + 16)]
    return {"models": {"bench": {
        "cmd": shlex.join(words).replace("PORT", "${PORT}"), "proxy": f"http://{HOST}:${{PORT}}",
        "concurrencyLimit": 2 * count}}}


class Client:
    """One open stream: counts the events that arrived on it."""

    def __init__(self, port, request):
        self.sock = socket.create_connection((HOST, port), timeout=30)
        self.sock.sendall(request)
        self.sock.setblocking(False)
        self.head, self.events = b"", 0

    def take(self):
        data = self.sock.recv(65536)
        if not data:
            raise Failure(f"a stream ended by itself after {self.head!r}")
        if len(self.head) < 16:
            self.head += data[:16]
            if len(self.head) >= 16 and not is_ok(self.head):
                raise Failure(f"a stream was refused: {data[:300]!r}")
        self.events += data.count(b"data: ")


class Crowd:
    """Many clients of one server, read on one thread."""

    def __init__(self):
        self.clients, self.selector = [], selectors.DefaultSelector()

    def add(self, port, request):
        client = Client(port, request)
        self.clients.append(client)
        self.selector.register(client.sock, selectors.EVENT_READ, client)

    def read_until(self, events):
        """Reads until every stream has had that many events."""
        deadline = time.monotonic() + OPEN_SECONDS_MAX
        while any(client.events < events for client in self.clients):
            if time.monotonic() > deadline:
                raise Failure("the streams do not flow")
            for key, _ in self.selector.select(1):
                key.data.take()

    def close(self):
        for client in self.clients:
            client.sock.close()
        self.selector.close()


class Streams:
    def __init__(self, count):
        self.count = count

    def run(self, folder, say):
        raise_file_limit(2 * self.count + 200)
        with Daemon(folder / "streams", config(self.count)) as daemon, \
                contextlib.closing(Crowd()) as crowd:
            self.warm(daemon)
            self.idle, sockets = memory(daemon.pid), socket_kib()
            request = chat_request("bench", stream=True)
            for number in range(self.count):
                crowd.add(daemon.port, request)
                if number % AT_ONCE == AT_ONCE - 1:
                    crowd.read_until(1)
            events = max(client.events for client in crowd.clients) + TOKENS_MIN
            crowd.read_until(events)
            self.open, self.sockets = memory(daemon.pid), socket_kib() - sockets
            if len(os.listdir(f"/proc/{daemon.pid}/fd")) < 2 * self.count:
                raise Failure("wharf does not hold both ends of every stream")
        say(f"streams: {self.each():.1f} KiB each")

    def warm(self, daemon):
        """Loads the model with a stream that is left again."""
        with contextlib.closing(Crowd()) as crowd:
            crowd.add(daemon.port, chat_request("bench", stream=True))
            crowd.read_until(1)

    def each(self, what="rss"):
        return (self.open[what] - self.idle[what]) / self.count

    def bars(self):
        return [Bar(f"memory of each of {self.count} open streams", self.each(), 16, "KiB")]

    def report(self, page):
        page.heading("Open streams")
        page.text(
            f"{self.count} chat completions that stream a token a second, all of them alive: "
            f"measured after each had at least {TOKENS_MIN} tokens since the last one was opened. "
            "Socket buffers are the kernel's, of all three processes' ends.")
        page.table(["", "idle", f"{self.count} streams", "each"],
                   [["RSS", f"{self.idle['rss']} KiB", f"{self.open['rss']} KiB",
                     f"{self.each():.2f} KiB"],
                    ["of it anonymous", f"{self.idle['anon']} KiB", f"{self.open['anon']} KiB",
                     f"{self.each('anon'):.2f} KiB"],
                    ["socket buffers", "", f"{self.sockets} KiB",
                     f"{self.sockets / self.count:.2f} KiB"]])

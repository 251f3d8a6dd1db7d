#!/usr/bin/env python3
"""A crowd of slow clients, in a process of its own: crowd.py ADDRESS KIND=COUNT... [--period S]

    ADDRESS  HOST:PORT or the path of a unix socket
    KIND     heads: a head that comes byte by byte and has no end
             bodies, chunked: a body that does so, of a declared length or in chunks
             readers: asks for a stream of the model `big` and reads nothing of it
             events: follows /wharf/events and reads nothing
             idle: connects and says nothing

It prints {"up": N} once all that could connect have, and have sent what there is to send at first; for
each line on its stdin, another one that says how they stand: how many are open, how many were closed by the
other side, and the statuses they were told. It ends with its stdin. Source addresses are 127.0.0.N, each for
PORTS_EACH connections, so that ports suffice."""

import argparse
import collections
import json
import resource
import select
import socket
import sys
import time

PORTS_EACH = 10000
CONNECTING_MAX = 256
TICK_S = 0.02
CHAT = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
STREAM = '{"model":"big","stream":true,"messages":[{"role":"user","content":"go"}]}'
OPENINGS = {
    "heads": CHAT + "X-Slow: ",
    "bodies": CHAT + 'Content-Length: 1000000\r\n\r\n{"model":"ready","x":"',
    "chunked": CHAT + 'Transfer-Encoding: chunked\r\n\r\n16\r\n{"model":"ready","x":"\r\n',
    "readers": CHAT + f"Content-Length: {len(STREAM)}\r\n\r\n{STREAM}",
    "events": "GET /wharf/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0\r\n\r\n",
    "idle": "",
}
DRIPS = {"heads": b"a", "bodies": b"a", "chunked": b"1\r\na\r\n"}


class Member:
    def __init__(self, kind, address, number):
        unix = isinstance(address, str)
        self.kind, self.connected, self.told = kind, False, False
        self.sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self.sock.setblocking(False)
        if kind in ("readers", "events"):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if not unix and address[0].startswith("127."):
            self.sock.bind((f"127.0.0.{number // PORTS_EACH + 1}", 0))
        try:
            self.sock.connect(address)
        except BlockingIOError:
            pass


class Crowd:
    def __init__(self, address, counts, period):
        self.address, self.period = address, period
        self.epoll, self.members = select.epoll(), {}
        self.waiting = collections.deque(kind for kind in counts for _ in range(counts[kind]))
        self.number = self.connecting = self.open = 0
        self.closed, self.statuses = 0, collections.Counter()
        self.drips, self.credit = collections.deque(), 0.0
        self.up = False

    def begin_some(self):
        while self.waiting and self.connecting < CONNECTING_MAX:
            kind = self.waiting.popleft()
            member = Member(kind, self.address, self.number)
            self.number += 1
            self.connecting += 1
            self.members[member.sock.fileno()] = member
            self.epoll.register(member.sock, select.EPOLLOUT)

    def on_connected(self, member):
        error = member.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.connecting -= 1
        if error:
            self.drop(member)
            return
        member.connected = True
        self.open += 1
        member.sock.send(OPENINGS[member.kind].encode())
        # What a reader is sent stays where it is.
        reads = member.kind not in ("readers", "events")
        self.epoll.modify(member.sock, select.EPOLLIN if reads else 0)
        if member.kind in DRIPS:
            self.drips.append(member)

    def on_news(self, member):
        try:
            data = member.sock.recv(65536)
        except OSError:
            data = b""
        if data.startswith(b"HTTP/1.1 ") and not member.told:
            member.told = True
            self.statuses[data[9:12].decode()] += 1
        if not data:
            self.drop(member)

    def drop(self, member):
        if member.connected:
            self.open -= 1
        self.closed += 1
        self.epoll.unregister(member.sock)
        del self.members[member.sock.fileno()]
        member.sock.close()
        member.connected = False

    def drip(self, seconds):
        """All of them once a period, evenly."""
        self.credit += len(self.drips) * seconds / self.period
        while self.credit >= 1 and self.drips:
            self.credit -= 1
            member = self.drips.popleft()
            if not member.connected:
                continue
            try:
                member.sock.send(DRIPS[member.kind])
                self.drips.append(member)
            except OSError:
                self.drop(member)

    def tell(self):
        print(json.dumps({"open": self.open, "closed": self.closed, "statuses": dict(self.statuses)}), flush=True)

    def run(self):
        self.epoll.register(sys.stdin, select.EPOLLIN)
        last = time.monotonic()
        while True:
            self.begin_some()
            for fd, events in self.epoll.poll(TICK_S):
                if fd == sys.stdin.fileno():
                    if not sys.stdin.readline():
                        return
                    self.tell()
                elif fd in self.members:
                    member = self.members[fd]
                    (self.on_news if member.connected else self.on_connected)(member)
            now = time.monotonic()
            self.drip(now - last)
            last = now
            if not self.up and not self.waiting and not self.connecting:
                self.up = True
                print(json.dumps({"up": self.open}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("counts", nargs="+")
    parser.add_argument("--period", type=float, default=5)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    address = arguments.address
    if not address.startswith("/"):
        host, port = address.rsplit(":", 1)
        address = (host, int(port))
    counts = {kind: int(n) for kind, n in (word.split("=") for word in arguments.counts)}
    Crowd(address, counts, arguments.period).run()


if __name__ == "__main__":
    main()

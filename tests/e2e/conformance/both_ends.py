"""The two ends that the table's bytes go through wharf between: a client whose every byte is the
test's own, a recorder of every byte that goes upstream, and an upstream that answers as it is told."""

import array
import contextlib
import fcntl
import json
import re
import selectors
import socket
import termios
import threading
import time

from readers import strict, strict_one
from wharf_harness import SECONDS, Connection, Gone

MARK, BARRIER = "/mark", "/barrier"
# More cuts than that tell nothing new of a long message.
CUTS_MAX = 300


def settle(sock):
    """Waits until the other side has read what was sent to a unix socket: what comes next is another
    read's there."""
    left = array.array("i", [1])
    deadline = time.monotonic() + SECONDS
    while left[0]:
        fcntl.ioctl(sock, termios.TIOCOUTQ, left)
        assert time.monotonic() < deadline, "the other side has stopped reading"


def send_pieces(sock, pieces):
    """False when the other side had closed before the end."""
    for piece in pieces:
        try:
            sock.sendall(piece)
            settle(sock)
        except (ConnectionError, BrokenPipeError):
            return False
    return True


def cut_at(data, places):
    places = [0, *places, len(data)]
    return [data[a:b] for a, b in zip(places, places[1:]) if a < b]


def in_bytes(data):
    return cut_at(data, range(1, min(len(data), CUTS_MAX)))


def in_tokens(data):
    """Cut within and beside what a parser takes for one thing: CRLF, name, colon, value, number."""
    places = {p for m in re.finditer(rb"\r|\n|[0-9]+|[^\r\n:; 0-9]+", data)
              for p in ((m.start() + m.end()) // 2, m.end())}
    return cut_at(data, sorted(places - {0})[:CUTS_MAX])


def at_once(data):
    return [data]


WAYS = {"at once": at_once, "in tokens": in_tokens, "in bytes": in_bytes}


class Recorder:
    """Answers every request that a strict reader sees, and keeps every byte of each connection.

    One thread reads all connections before it answers any: once the request for BARRIER is answered,
    everything that wharf sent before it is there."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.listener.setblocking(False)
        self.proxy = f"unix:{path}"
        self.wake, self.stop = socket.socketpair()
        self.poll = selectors.DefaultSelector()
        self.poll.register(self.listener, selectors.EVENT_READ)
        self.poll.register(self.wake, selectors.EVENT_READ)
        self.unread, self.seen, self.taken, self.error = {}, {}, [], None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while self.read(None):
                self.answer()
        except Exception as e:  # told at the end
            self.error = e

    def read(self, seconds):
        """False when it is to stop."""
        for key, _ in self.poll.select(seconds):
            if key.fileobj is self.wake:
                return False
            if key.fileobj is self.listener:
                sock, _ = self.listener.accept()
                self.poll.register(sock, selectors.EVENT_READ)
                self.unread[sock] = self.seen[sock] = b""
                continue
            data = b""
            with contextlib.suppress(ConnectionError):
                data = key.fileobj.recv(1 << 20)
            self.unread[key.fileobj] += data
            self.seen[key.fileobj] += data
            if not data:
                self.poll.unregister(key.fileobj)
                key.fileobj.close()
                del self.unread[key.fileobj]
        return True

    def answer(self):
        for sock in list(self.unread):
            while self.unread.get(sock) and (m := strict_one(self.unread[sock], 0)):
                if m.target == BARRIER:
                    self.take(sock, m)
                self.unread[sock] = self.unread[sock][m.end:]
                body = json.dumps({"path": m.target}).encode()
                with contextlib.suppress(OSError):
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 b"Content-Length: %d\r\n\r\n" % len(body) +
                                 (body if m.method != "HEAD" else b""))

    def take(self, asker, barrier):
        while self.poll.select(0):
            if not self.read(0):
                return
        self.seen[asker] = self.seen[asker][:-barrier.end]
        self.taken = [(data, sock in self.unread) for sock, data in self.seen.items() if data]
        self.seen = {sock: b"" for sock in self.unread}

    def since_last(self, address, headers):
        """[(bytes, whether the connection is still open)] of each connection since the last call."""
        with Connection(address) as c:
            answer = c.ask("GET", "/upstream/m" + BARRIER, headers=headers)
            assert answer.status == 200 and answer.json() == {"path": BARRIER}, answer
        assert not self.error, self.error
        return self.taken

    def close(self):
        self.stop.close()
        self.thread.join(SECONDS)
        self.listener.close()
        for sock in self.unread:
            sock.close()
        self.wake.close()
        if self.error:
            raise AssertionError("the recorder failed") from self.error


class Kept(Connection):
    """A client that keeps what it reads."""

    def __init__(self, address):
        super().__init__(address)
        self.seen = b""

    def fill(self):
        before = len(self.buffer)
        super().fill()
        self.seen += self.buffer[before:]

    def marked(self, answer):
        return answer.status == 200 and answer.body == json.dumps({"path": MARK}).encode()

    def answers_to_mark(self, method):
        """(answers before that to MARK, whether that came) until then or the connection's end."""
        found = []
        try:
            while True:
                answer = self.answer("GET" if found else method)
                if self.marked(answer):
                    return found, True
                found.append(answer)
        except Gone:
            assert not self.buffer, f"half an answer: {self.buffer!r}"
        except ConnectionError:  # reset: it had more to read than it would
            pass
        return found, False


class Scripted:
    """Answers /case with the steps that it is given, anything else with what was asked for."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.proxy = f"unix:{path}"
        self.steps, self.way, self.closing = [], at_once, False
        self.read = threading.Event()  # by the client
        self.played = threading.Event()  # all steps; what was sent has been read, or refused
        self.asked, self.errors, self.socks = [], [], []
        threading.Thread(target=self.accept, daemon=True).start()

    def play(self, steps, way):
        self.steps, self.way, self.asked = steps, way, []
        self.read.clear()
        self.played.clear()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.socks.append(sock)
                number = len(self.socks)
                threading.Thread(target=self.serve, args=(sock, number), daemon=True).start()

    def serve(self, sock, number):
        try:
            data = b""
            with sock, contextlib.suppress(ConnectionError, BrokenPipeError):
                while more := sock.recv(1 << 16):
                    data += more
                    while data and (m := strict_one(data, 0)):
                        data = data[m.end:]
                        self.asked.append((number, m))
                        if not self.reply(sock, m):
                            return
                assert not data or strict(data)
        except Exception as e:  # told at the end
            if not self.closing:
                self.errors.append(e)

    def reply(self, sock, m):
        """False when that was the connection's last."""
        if m.target != "/case":
            body = json.dumps({"path": m.target}).encode()
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            return True
        try:
            return all(self.take(sock, step) for step in self.steps)
        finally:
            self.played.set()

    def take(self, sock, step):
        """False when the connection is to be closed, or is."""
        if step == "read":
            assert self.read.wait(SECONDS), "the client has had no answer"
            return True
        return step != "close" and send_pieces(sock, self.way(step))

    def connections(self, target):
        """Numbers of the connections on which that was asked for."""
        return [number for number, m in self.asked if m.target == target]

    def close(self):
        self.closing = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        if self.errors:
            raise AssertionError("the scripted upstream failed") from self.errors[0]

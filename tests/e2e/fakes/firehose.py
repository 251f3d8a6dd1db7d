#!/usr/bin/env python3
"""A model's server whose every answer is a stream without end, for any number of clients: firehose.py PORT

It answers /health with 200, and everything else with events, as fast as they are taken."""

import resource
import select
import socket
import sys

EVENT = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % (b"x" * 4000)
PIECE = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


class Peer:
    def __init__(self, sock):
        self.sock, self.read, self.unsent, self.streams = sock, b"", b"", False


def send(peer):
    """Until the other side takes no more."""
    while peer.unsent or peer.streams:
        if not peer.unsent:
            peer.unsent = PIECE
        try:
            peer.unsent = peer.unsent[peer.sock.send(peer.unsent):]
        except BlockingIOError:
            return


def take(peer):
    try:
        data = peer.sock.recv(65536)
    except BlockingIOError:
        return True
    peer.read += data
    if b"\r\n\r\n" in peer.read and not peer.streams:
        peer.streams = not peer.read.startswith(b"GET /health")
        peer.unsent += HEAD if peer.streams else HEALTHY
        peer.read = b""
    return bool(data)


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096)
    listener.setblocking(False)
    epoll, peers = select.epoll(), {}
    epoll.register(listener, select.EPOLLIN)
    while True:
        for fd, events in epoll.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                sock.setblocking(False)
                # The kernel would take megabytes for each.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
                peers[sock.fileno()] = Peer(sock)
                epoll.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
                continue
            peer = peers[fd]
            try:
                alive = take(peer) if events & ~select.EPOLLOUT else True
                send(peer)
            except OSError:
                alive = False
            if not alive:
                epoll.unregister(fd)
                del peers[fd]
                peer.sock.close()


if __name__ == "__main__":
    main()

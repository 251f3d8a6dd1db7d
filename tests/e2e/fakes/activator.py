"""Runs a program as a service manager with sockets for it does (sd_listen_fds(3)).

    activator.py FD:NAME ... -- PROGRAM ARGUMENT ...
"""

import fcntl
import os
import sys

FIRST = 3

at = sys.argv.index("--")
handed = [word.split(":", 1) for word in sys.argv[1:at]]
# Out of the way first: one of them may be where another has to be.
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, FIRST + len(handed)) for fd, _ in handed]
for fd, _ in handed:
    os.close(int(fd))
for i, fd in enumerate(high):
    os.dup2(fd, FIRST + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(handed)),
                  LISTEN_FDNAMES=":".join(name for _, name in handed))
os.execvp(sys.argv[at + 1], sys.argv[at + 1:])

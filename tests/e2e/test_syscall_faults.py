"""Calls of the system fail underneath the daemon: each function with each of its errors, at one call or
another of a pass of mixed load, and while it starts."""

import errno
import os

import pytest

import faults
from fault_world import World
from wharf_harness import SECONDS

pytestmark = [pytest.mark.faults,
              pytest.mark.skipif(bool(faults.why_not()), reason=str(faults.why_not()))]

# By function, error:scope; the first is what `make check` tries. Errors of disks are for files, those of
# peers for sockets: an eventfd knows neither.
ERRORS = {
    "open": ["EMFILE", "ENFILE", "ENOSPC:folder", "EACCES:folder", "EIO:folder", "ENOMEM", "EINTR:folder"],
    "socket": ["EMFILE", "ENFILE", "ENOMEM"],
    "socketpair": ["EMFILE", "ENFILE", "ENOMEM"],
    "accept": ["EMFILE", "ENFILE", "ECONNABORTED", "ENOMEM", "EINTR", "EAGAIN", "EPERM"],
    "connect": ["ECONNREFUSED", "ETIMEDOUT", "EADDRNOTAVAIL", "ENETUNREACH", "EINTR", "EPERM"],
    "write": ["ENOSPC:folder", "EIO:folder", "EPIPE:sockets", "ECONNRESET:sockets", "EINTR", "EAGAIN:sockets",
              "ENOBUFS:sockets"],
    "send": ["ECONNRESET", "EPIPE", "EINTR", "EAGAIN", "ENOBUFS"],
    "read": ["EIO:folder", "ECONNRESET:sockets", "ETIMEDOUT:sockets", "EINTR", "EAGAIN:sockets"],
    "recv": ["ECONNRESET", "EINTR", "EAGAIN"],
    "fork": ["EAGAIN", "ENOMEM"],
    "pidfd": ["EMFILE", "ENOMEM"],
    "mmap": ["ENOMEM", "EPERM"],
    "fsync": ["EIO", "ENOSPC"],
    "rename": ["EIO", "ENOSPC", "EPERM"],
    "truncate": ["ENOSPC", "EIO"],
    "unlink": ["EIO", "EPERM"],
    "mkdir": ["ENOSPC", "EACCES"],
    "fcntl": ["EMFILE"],
    "epoll_ctl": ["ENOMEM", "ENOSPC"],
    "pipe": ["EMFILE"],
    "inotify": ["EMFILE", "ENOSPC"],
    "bind": ["EADDRINUSE", "ENOMEM"],
    "listen": ["EADDRINUSE"],
    "eventfd": ["EMFILE"],
    "thread": ["EAGAIN"],
}
ALL = os.environ.get("WHARF_FAULTS") == "all"


def errors_of(name):
    """(what it is called, how it is set)"""
    for word in ERRORS[name] if ALL else ERRORS[name][:1]:
        error, _, scope = word.partition(":")
        yield f"{name} {word}", {"error": getattr(errno, error), "scope": scope or "any"}


def spread(count, most):
    """Numbers of calls among count, the first and the last among them."""
    most = min(count, most)
    return sorted({1 + i * (count - 1) // max(most - 1, 1) for i in range(most)})


def count_calls(w, name, how, work):
    """How many there are in it, of those that would fail."""
    w.faults.set(name, scope=how["scope"], first=1, last=1)
    work()
    w.faults.rule(name).active = 0
    return w.faults.rule(name).seen


def slice_of(names):
    """Under sanitizers, those with the most to free."""
    return [pytest.param(n, marks=[pytest.mark.slice] if n in ("open", "connect", "fork", "write") else [])
            for n in names]


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", slice_of(ERRORS))
def test_a_call_fails_at_work(wharf, tmp_path, name):
    w = World(wharf, tmp_path)
    w.start()
    assert w.load() == 0, w.failures
    before = w.rest()
    for what, how in errors_of(name):
        count = count_calls(w, name, how, w.load)
        for n in spread(count, 12 if ALL else 2):
            here = f"{what} at call {n} of {count}"
            with w.faults.failing(name, first=n, **how):
                failed = w.load()
            w.must_live(here)
            print(f"{here}: {w.faults.done(name)} failed, and {failed} of {len(w.works())} requests: {w.failures}")
            w.must_recover(here)
    w.must_leak_nothing(before, name)


# Neither is ever short alone: test_few_descriptors has that. libuv makes them at the very start.
NOT_AT_THE_START = ["pipe", "eventfd"]


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", slice_of(n for n in ERRORS if n not in NOT_AT_THE_START))
def test_a_call_fails_at_the_start(wharf, tmp_path, name):
    """It starts, with what it cannot have, or says in a line why not, and ends."""
    w = World(wharf, tmp_path)
    d = w.start()
    d.stop()
    for what, how in errors_of(name):
        def start_and_stop():
            w.faults.await_process()
            d.start()
            d.stop()
        count = count_calls(w, name, how, start_and_stop)
        # There are too few threads, or enough: four are tried, then libuv makes four, then come the stores'.
        last = 0 if name == "thread" else None
        for n in [1, 4, 9, 10] if name == "thread" else spread(count, 20 if ALL else 2):
            here = f"{what} at call {n} of {count}"
            d.stderr_path.write_text("")
            w.faults.await_process()
            w.faults.set(name, first=n, last=last, **how)
            starts = w.begins(here)
            w.faults.clear()
            print(f"{here}: it starts: {starts}; {w.last_words() if not starts else w.troubles()}")
            if starts:
                w.must_recover(here)
                d.stop(4 * SECONDS)


@pytest.mark.slice
def test_few_descriptors(wharf, tmp_path):
    """However few a process may have: it serves with them, or says that they are too few."""
    w = World(wharf, tmp_path)
    d = w.start()
    d.stop()
    command, outcomes = d.command, []
    for limit in range(4, 40, 1 if ALL else 5):
        d.stderr_path.write_text("")
        d.command = ["/bin/sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *command]
        w.faults.await_process()
        outcomes.append(w.begins(f"{limit} descriptors"))
        if outcomes[-1]:
            d.kill()
    print(outcomes)
    assert not outcomes[0] and outcomes[-1]
    d.command = command
    w.faults.await_process()
    d.start()
    w.must_recover("enough of them")

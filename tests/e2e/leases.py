"""Leases for tests: jobs that hold them, of which the test reads every line, and processes that claim
memory on a simulated GPU.

    lease = Lease(d, vram="6GiB", gates=["mlx"])     # POST /wharf/leases; .answer has the head
    lease.line(); lease.until("granted"); lease.close(); lease.renewed, lease.id, lease.token
    job = Job(d, lease.granted["environment"], "2GiB")    # claims, until .end() or .kill()
"""

import json
import os
import subprocess
import sys

from wharf_harness import Gone, until

GIB, MIB = 1024 ** 3, 1024 ** 2


def gpu(name="gpu0", memory="12GiB", **keys):
    return {"sim": {"name": name, "memory": memory}, "sample": "20ms", **keys}


class Lease:
    """One whose connection the test holds; again= its id and token: as after a restart."""

    def __init__(self, d, again=None, headers=None, seconds=None, **terms):
        self.d = d
        self.connection = d.connect(**({"seconds": seconds} if seconds else {}))
        path = f"/wharf/leases/{again.id}" if again else "/wharf/leases"
        self.connection.request("POST", path, {"token": again.token} if again else terms, headers)
        self.answer = self.connection.head()
        self.lines, self.rest, self.granted = [], b"", None
        self.pieces = self.connection.pieces(self.answer)
        if self.answer.status != 200:
            self.answer.body = b"".join(self.pieces)
            return
        assert self.answer.header("Content-Type") == "application/x-ndjson"
        first = self.line()
        self.id = first["lease"]
        self.token = again.token if again else first["token"]

    @property
    def state(self):
        return self.lines[-1]["state"]

    @property
    def mark(self):
        return f"{self.id}:{self.token}"

    def line(self):
        """The next that is not a ping; None at the answer's proper end."""
        while True:
            while b"\n" not in self.rest:
                piece = next(self.pieces, None)
                if piece is None:
                    assert not self.rest and self.answer.complete
                    return None
                self.rest += piece
            line, self.rest = self.rest.split(b"\n", 1)
            line = json.loads(line)
            if "ping" not in line:
                break
        self.lines.append(line)
        if line["state"] == "granted":
            self.granted = line
        return line

    def until(self, state):
        """The line that says so."""
        while self.lines[-1]["state"] != state:
            line = self.line()
            assert line, f"the answer ended before {state}: {self.lines}"
        return self.lines[-1]

    def is_cut(self):
        try:
            while self.line():
                pass
        except Gone:
            return True
        return False

    def close(self):
        self.connection.close()

    def end(self):
        return end(self.d, self.id, self.token)


def end(d, id_, token):
    return d.ask("DELETE", f"/wharf/leases/{id_}", {"token": token})


def renew(d, id_, token):
    return d.ask("PUT", f"/wharf/leases/{id_}", {"token": token})


def listed(d, id_=None):
    """All of them, or the one of that id (None when it is not listed)."""
    leases = d.ok(d.get("/wharf/leases")).json()["leases"]
    return leases if id_ is None else next((l for l in leases if l["id"] == id_), None)


def room(d, device=0):
    return d.ok(d.get("/wharf/devices")).json()["devices"][device]["room_bytes"]


def device(d, index=0):
    return d.ok(d.get("/wharf/devices")).json()["devices"][index]


CLAIM = """
import fcntl, os, sys
for folder in os.environ["WHARF_SIM_FOLDER"].split("\\n"):
    claim = open(os.path.join(folder, str(os.getpid())), "w")
    fcntl.lockf(claim, fcntl.LOCK_EX)
    claim.write(sys.argv[1])
    claim.flush()
    globals()[folder] = claim
print("claims", flush=True)
sys.stdin.read()
"""


class Job:
    """A process that uses memory where its environment says; it has no other sign of its lease."""

    def __init__(self, d, environment, bytes_=MIB, args=()):
        env = {k: v for k, v in d.env.items() if k != "WHARF_TEST_ID"} | environment
        self.process = subprocess.Popen([*args, sys.executable, "-c", CLAIM, str(int(bytes_))], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "claims\n"
        self.pid = self.process.pid

    def end(self):
        self.process.stdin.close()
        self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()

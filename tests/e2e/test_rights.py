"""What each key may do, who may come in by a unix socket, which names and sites are let in, and that
no secret is in anything that wharf writes."""

import json
import os
import pathlib
import socket
import stat
import subprocess
import sys

import pytest

from wharf_harness import (SECONDS, WHARF, Connection, Daemon, chat_body, content, demo, models, serve_requests,
                           until)

CHAT = "/v1/chat/completions"
KEYS = {"apiKeys": ["plain-key-1"],
        "keys": [{"key": "admin-key-2", "name": "boss", "admin": True},
                 {"key": "looks-key-3", "name": "board", "readOnly": True},
                 {"key": "scope-key-4", "name": "ci", "models": ["m*", "sel", "far/r"]},
                 {"key": "named-key-5", "name": "jobs", "class": "background"}]}
SECRETS = ["plain-key-1", "admin-key-2", "looks-key-3", "scope-key-4", "named-key-5"]
CONFIG = {**KEYS, "models": {"m": demo("m", aliases=["quick"]), "other": demo("other")},
          "selectors": {"sel": {"strategy": "warm", "targets": ["other"]},
                        "hid": {"strategy": "warm", "targets": ["other"]}},
          "peers": {"far": {"proxy": "http://127.0.0.1:9", "models": ["r", "s"]}}}


def key(text):
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    d = Daemon(tmp_path_factory.mktemp("rights"), CONFIG)
    yield d
    d.finish()


# What a path needs → a request for it that changes nothing that lasts.
PATHS = {
    "list": [("GET", "/v1/models"), ("GET", "/models"), ("GET", "/api/version"), ("GET", "/api/tags"),
             ("GET", "/api/ps")],
    "read": [("GET", "/wharf/status"), ("GET", "/wharf/models"), ("GET", "/wharf/models/m"),
             ("GET", "/wharf/queue"), ("GET", "/logs"), ("GET", "/running"), ("GET", "/metrics"),
             ("GET", "/api/metrics/activity"), ("GET", "/api/inflight"), ("GET", "/wharf/leases"),
             ("GET", "/wharf/decisions"), ("GET", "/api/profiles"), ("GET", "/wharf/mode"),
             ("GET", "/wharf/timeline"),
             *(("GET", f"/wharf/history/{table}")
               for table in ("requests", "swaps", "leases", "decisions", "samples"))],
    "use": [("POST", CHAT), ("GET", "/props?model=m"), ("GET", "/upstream/m/health")],
    "operate": [("GET", "/unload"), ("POST", "/api/models/unload"), ("POST", "/api/models/unload/m"),
                ("POST", "/wharf/leases")],
    "admin": [("POST", "/wharf/models/m/unload"), ("PUT", "/wharf/mode"), ("POST", "/wharf/workers"),
              ("GET", "/wharf/config"), ("POST", "/wharf/config/check")],
}
MAY = {"plain-key-1": {"list", "read", "use", "operate"}, "admin-key-2": set(PATHS),
       "looks-key-3": {"list", "read"}, "scope-key-4": {"list", "use"},
       "named-key-5": {"list", "read", "use", "operate"}}


@pytest.mark.slice
@pytest.mark.parametrize("who", MAY)
@pytest.mark.parametrize("right", PATHS)
def test_what_a_key_may_do(locked, who, right):
    for method, path in PATHS[right]:
        body = chat_body("m") if path == CHAT else {} if method in ("POST", "PUT") else None
        answer = locked.ask(method, path, body, key(who))
        if right in MAY[who]:
            assert answer.status not in (401, 403), (path, answer)
        else:
            assert (answer.status, answer.error["code"]) == (403, "key_scope"), (path, answer)
    assert all(s not in locked.stderr for s in SECRETS)


def test_a_refusal_says_what_is_missing(locked):
    assert "no key has admin" not in locked.stderr
    answer = locked.post("/wharf/models/m/load", headers=key("plain-key-1"))
    assert "admin: true" in answer.message
    assert "readOnly" in locked.chat("m", headers=key("looks-key-3")).message


@pytest.mark.slice
def test_models_that_a_key_is_not_for_are_unknown(locked):
    def status(name):
        return locked.chat(name, headers=key("scope-key-4"))

    assert content(locked.ok(status("m"))) and content(locked.ok(status("quick")))
    assert content(locked.ok(status("sel"))), "a selector is a name of its own"
    assert status("far/r").status == 502, "nobody answers there, but it was asked"
    for name in ("other", "hid", "far/s", "s", "nobody"):
        answer = status(name)
        assert (answer.status, answer.error["code"]) == (404, "model_not_found"), (name, answer)
        assert "nearest" not in answer.message
    for method, path, body in [("GET", "/upstream/other/health", None), ("GET", "/upstream/other", None),
                               ("GET", "/props?model=other", None), ("POST", "/api/show", {"model": "other"}),
                               ("POST", "/api/chat", {"model": "other", "messages": []})]:
        answer = locked.ask(method, path, body, key("scope-key-4"))
        assert answer.status == 404, (path, answer)
    locked.ok(locked.ask("POST", "/api/show", {"model": "m"}, key("scope-key-4")))


def test_lists_are_of_the_models_that_a_key_is_for(locked):
    def listed(path, who):
        return {m.get("id") or m.get("model") for m in
                (lambda j: j.get("data") or j["models"])(locked.ok(locked.get(path, key(who))).json())}

    for path in ("/v1/models", "/models"):
        assert listed(path, "scope-key-4") == {"m", "sel", "far/r"}
        assert listed(path, "looks-key-3") == {"m", "other", "sel", "hid", "far/r", "far/s"}
    assert listed("/api/tags", "scope-key-4") == {"m:latest", "sel:latest", "far/r:latest"}
    locked.ok(locked.chat("other", headers=key("admin-key-2")))
    assert "other" not in locked.get("/api/ps", key("scope-key-4")).text


def test_who_may_not_unload_does_not_by_keep_alive(locked):
    answer = locked.post("/api/generate", {"model": "m", "keep_alive": 0}, key("scope-key-4"))
    assert answer.status == 403
    locked.ok(locked.chat("m", headers=key("scope-key-4")))
    locked.ok(locked.post("/api/chat", {"model": "m", "stream": False, "keep_alive": 0,
                                        "messages": [{"role": "user", "content": "x"}]}, key("scope-key-4")))
    assert locked.get("/wharf/models/m", key("looks-key-3")).json()["state"] == "loaded"


def test_until_an_admin_is_named_all_keys_are(wharf):
    d = wharf({"apiKeys": ["a"], "keys": [{"key": "b"}, {"key": "c", "admin": False}], **models("m")})
    assert "no key has admin: true" in d.stderr
    for who, status in (("a", 200), ("b", 200), ("c", 403)):
        assert d.post("/wharf/models/m/load", headers=key(who)).status == status, who


def test_keys_of_files_are_read_again(wharf, tmp_path):
    file = tmp_path / "keys"
    file.write_text("# rotated\nold-one\nboth\n")
    file.chmod(0o600)
    d = wharf({"keys": [{"keyFile": str(file), "name": "f"}], **models("m")})
    assert d.get("/wharf/status", key("old-one")).status == d.get("/wharf/status", key("both")).status == 200
    assert d.get("/wharf/status", key("# rotated")).status == 401
    file.write_text("both\nnew-one\n")
    events = d.events(headers=key("both"))
    d.signal(1)
    events.wait_for("config_reloaded")
    assert [d.get("/wharf/status", key(k)).status for k in ("old-one", "both", "new-one")] == [401, 200, 200]


# ---------------------------------------------------------------- what wharf writes


@pytest.mark.threads
@pytest.mark.slice
def test_no_secret_is_in_anything_that_wharf_writes(wharf, upstream, tmp_path):
    file = tmp_path / "keys"
    file.write_text("file-key-6\n")
    file.chmod(0o600)
    seen = []

    def answer(peer, line, headers, body):
        seen.append(repr(headers))
        peer.answer()

    config = {**CONFIG, "keys": [*CONFIG["keys"], {"keyFile": str(file)}], "logLevel": "debug",
              "store": {"path": str(tmp_path / "history.sqlite")},
              "models": {**CONFIG["models"], "u": upstream(serve_requests(answer)).model(),
                         "e": demo("e", env=["HANDED_KEY=named-key-5"])},
              "hooks": {"on": {"model_loaded": f"sh -c 'env >> {tmp_path}/hook'"}}}
    d = wharf(config, env={"CI_KEY": "scope-key-4", "WHARF_KEY": "admin-key-2", "NOTIFY_SOCKET": "",
                           "HARMLESS": "yes"})
    secrets = [*SECRETS, "file-key-6"]
    admin = key("admin-key-2")
    events = d.events(headers=admin)
    for secret in secrets:
        d.chat("u", headers=key(secret))
        d.chat("u", headers={"x-api-key": secret})
        d.chat("nobody", headers=key(secret))
    d.ok(d.chat("e", headers=admin))
    events.wait_for("model_loaded", model="e")
    until(lambda: (tmp_path / "hook").exists() and "HARMLESS" in (tmp_path / "hook").read_text(), "the hook")
    pid = d.get("/wharf/models/e", admin).json()["pid"]
    environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode()
    assert "HARMLESS=yes" in environment and "HANDED_KEY=named-key-5" in environment
    shown = {path: d.ok(d.get(path, admin)).text for path in (
        "/wharf/status", "/wharf/models", "/wharf/queue", "/wharf/leases", "/wharf/decisions", "/running", "/logs",
        "/metrics", "/api/metrics/activity", "/api/inflight", "/v1/models", "/wharf/devices")}
    for row in json.loads(shown["/api/metrics/activity"])["data"]:
        if row["has_capture"]:
            shown[f"capture {row['id']}"] = d.ok(d.get(f"/api/captures/{row['id']}", admin)).text
    assert any(name.startswith("capture") for name in shown)
    shown["headers"] = "".join(seen)
    shown["check"] = subprocess.run([WHARF, "check", "--print", d.config_path], capture_output=True, text=True,
                                    timeout=SECONDS).stdout
    assert "keyFile" in shown["check"]
    shown["hook"] = (tmp_path / "hook").read_text()
    shown["environment"] = environment.replace("HANDED_KEY=named-key-5", "")
    d.stop()
    shown["stderr"] = d.stderr
    for path in [*d.state.rglob("*"), *tmp_path.glob("history*")]:
        if path.is_file():
            shown[str(path)] = path.read_bytes().decode(errors="replace")
    found = {(secret, where) for secret in secrets for where, text in shown.items() if secret in text}
    assert not found
    assert "CI_KEY" not in environment and "NOTIFY_SOCKET" not in environment


@pytest.mark.slice
def test_files_are_wharfs_alone(wharf, tmp_path):
    d = wharf({"store": {"path": str(tmp_path / "history.sqlite")}, **models("m")})
    d.ok(d.chat("m"))
    d.stop()
    found = [*d.state.rglob("*"), *tmp_path.glob("history*")]
    assert len(found) > 4
    for path in found:
        mode = path.lstat().st_mode
        assert stat.S_IMODE(mode) & 0o077 == 0, (path, oct(mode))


# ---------------------------------------------------------------- names and sites

HOSTS = [("127.0.0.1", 200), ("localhost:1", 200), ("[::1]:80", 200), ("llm.home:8080", 200), ("tower", 200),
         ("a.b.localhost", 200), ("evil.example", 421), ("evil.example:8080", 421), ("127.0.0.1.evil.example", 421)]


def ask_as(d, host, method="GET", path="/v1/models", headers=None, body=None):
    with Connection(d.address) as c:
        return c.ask(method, path, body, headers or {}, host=host)


@pytest.mark.parametrize("host, status", HOSTS)
def test_names_that_a_page_on_the_internet_may_have(wharf, host, status):
    d = wharf(models("m"))
    assert ask_as(d, host).status == status
    for path in ("/wharf/status", "/unload", "/nothing", "/health"):
        assert (ask_as(d, host, path=path).status == 421) == (status == 421)
    answer = ask_as(d, host, "POST", CHAT, {"Content-Type": "application/json"}, json.dumps(chat_body("m")))
    assert answer.status == status
    if status == 421:
        assert answer.error["code"] == "host_unknown" and "hosts" in answer.message


def test_names_are_listed(wharf):
    d = wharf({"hosts": ["llm.example"], **models("m")})
    assert [ask_as(d, h).status for h in ("LLM.example:8080", "x.llm.example", "evil.example")] == [200, 421, 421]


def test_with_keys_any_name_will_do(wharf):
    d = wharf({"apiKeys": ["a"], "hosts": ["llm.example"], **models("m")})
    assert ask_as(d, "llm.elsewhere", headers=key("a")).status == 200


def test_on_other_addresses_any_name_will_do_unless_some_are_listed(wharf):
    d = wharf(models("m"), listen="0.0.0.0:0")
    d.address = ("127.0.0.1", d.address[1])
    assert ask_as(d, "llm.example").status == 200
    assert "no keys are configured, so whoever reaches it" in d.stderr
    d = wharf({"hosts": ["llm.example"], **models("m")}, listen="0.0.0.0:0")
    d.address = ("127.0.0.1", d.address[1])
    assert [ask_as(d, h).status for h in ("llm.example", "evil.example")] == [200, 421]


PAGE = "https://chat.example"


@pytest.mark.parametrize("cors, uses, changes, told", [
    (None, 200, 403, PAGE), ([], 403, 403, None), (["*"], 200, 403, PAGE), ([PAGE], 200, 200, PAGE),
    (["https://else.example"], 403, 403, None)])
def test_pages_of_other_sites(wharf, cors, uses, changes, told):
    d = wharf({**({} if cors is None else {"cors": cors}), **models("m")})
    for headers in ({"Origin": PAGE}, {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}):
        answer = d.chat("m", headers=headers)
        assert answer.status == uses and answer.header("Access-Control-Allow-Origin") == told
        if uses == 403:
            assert answer.error["code"] == "cross_site"
        listed = d.get("/v1/models", headers)
        assert (listed.status, listed.header("Access-Control-Allow-Origin")) == (200, told)
        assert d.get("/unload", headers).status == changes
        assert d.post("/wharf/models/m/load", headers=headers).status == changes
        status = d.get("/wharf/status", headers).header("Access-Control-Allow-Origin")
        assert status == (PAGE if changes == 200 else None)
    allowed = d.ask("OPTIONS", CHAT, headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"})
    assert allowed.header("Access-Control-Allow-Origin") == ("*" if told else None)
    d.ok(d.chat("m"))


NAVIGATES = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
FETCHES = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
# What a page of another site asks of a model's own server → what becomes of it, unless the site is listed.
OWN_PATHS = [("POST", "/v1/chat/completions", {"Origin": PAGE}, 200),
             ("GET", "/v1/models", {"Origin": PAGE}, 200),
             ("GET", "/props", {"Origin": PAGE}, 200),
             ("GET", "/slots", {"Origin": PAGE}, 403),
             ("GET", "/slots", FETCHES, 403),
             ("POST", "/slots/0?action=erase", {"Origin": PAGE}, 403),
             ("POST", "/slots/0?action=erase", NAVIGATES, 403),
             ("DELETE", "/v1/models", {"Origin": PAGE}, 403),
             ("POST", "//v1/chat/completions", {"Origin": PAGE}, 403),
             ("POST", "/v1%2fchat/completions", {"Origin": PAGE}, 403),
             ("GET", "/", FETCHES, 403),
             ("GET", "/", NAVIGATES, 200),
             ("GET", "/slots", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
             ("GET", "/slots", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
             ("GET", "/slots", {}, 200), ("POST", "/slots/0?action=erase", {}, 200)]


@pytest.mark.slice
def test_pages_of_other_sites_and_the_paths_of_a_models_own_server(wharf, upstream):
    asked = []

    def answer(peer, line, headers, body):
        asked.append(line)
        peer.answer()

    config = {"models": {"m": upstream(serve_requests(answer)).model(), "other": demo("other")}}
    d = wharf(config)
    for method, path, headers, status in OWN_PATHS:
        told = d.ask(method, "/upstream/m" + path, {} if method == "POST" else None, headers)
        assert told.status == status, (method, path, headers, told)
        if status == 403:
            assert told.error["code"] == "cross_site" and "cors" in told.message
    assert len(asked) == sum(status == 200 for *_, status in OWN_PATHS)
    told = d.get("/upstream/other/", FETCHES)
    assert told.status == 403 and d.model("other")["state"] == "unloaded", "a picture's address loads nothing"
    d = wharf({"cors": [PAGE], **config})
    for method, path, headers, _ in OWN_PATHS:
        told = d.ask(method, "/upstream/m" + path, {} if method == "POST" else None, {**headers, "Origin": PAGE})
        assert told.status == 200, (method, path, headers, told)


@pytest.mark.parametrize("who, method, path, status", [
    ("looks-key-3", "GET", "/upstream/m/health", 403), ("looks-key-3", "POST", "/upstream/m/slots/0", 403),
    ("looks-key-3", "GET", "/upstream/m", 403), ("looks-key-3", "GET", "/comfyui/", 403),
    ("scope-key-4", "GET", "/upstream/other/health", 404), ("scope-key-4", "POST", "/upstream/other/x", 404),
    ("scope-key-4", "GET", "/upstream/m/health", 200), ("plain-key-1", "GET", "/upstream/other/health", 200)])
def test_who_may_use_a_models_own_paths(locked, who, method, path, status):
    assert locked.ask(method, path, b"" if method == "POST" else None, key(who)).status == status


def test_nobody_takes_answers_for_what_they_are_not(locked):
    admin = key("admin-key-2")
    for method, path, headers in [("GET", "/v1/models", admin), ("GET", "/logs", admin), ("GET", "/nothing", admin),
                                  ("GET", "/", {}), ("GET", "/running", {"Accept": "text/html"})]:
        assert locked.ask(method, path, None, headers).header("X-Content-Type-Options") == "nosniff", path
    with Connection(locked.address) as c:
        c.send("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
        assert c.answer().header("X-Content-Type-Options") == "nosniff"


# ---------------------------------------------------------------- users of this machine

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
NOBODY = 65534
ASK = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX if sys.argv[1].startswith("/") else socket.AF_INET)
s.connect(sys.argv[1] if sys.argv[1].startswith("/") else ("127.0.0.1", int(sys.argv[1])))
body = sys.argv[4].encode()
s.sendall(f"{sys.argv[2]} {sys.argv[3]} HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n".encode() + body)
print(s.recv(65536).decode().split()[1], flush=True)
sys.stdin.read()
"""


def as_nobody(where, method, path, body="{}", keep=False):
    """The status that another user gets; keep: with the process, which holds its connection."""
    p = subprocess.Popen([sys.executable, "-c", ASK, str(where), method, path, body], user=NOBODY, group=NOBODY,
                         extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
    line = p.stdout.readline().strip()
    if keep:
        return int(line), p
    p.communicate(timeout=SECONDS)
    return int(line) if line else None


@pytest.fixture
def public(tmp_path):
    """A folder that every user may enter."""
    folder = pathlib.Path(f"/tmp/wharf-{tmp_path.name[:40]}-{os.getpid()}")
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    yield folder
    for f in folder.iterdir():
        f.unlink()
    folder.rmdir()


def test_a_socket_is_the_owners(wharf, tmp_path):
    wharf(models("m"), listen=["127.0.0.1:0", f"unix:{tmp_path}/s"])
    assert stat.S_IMODE(os.stat(tmp_path / "s").st_mode) == 0o600


@AS_ROOT
def test_a_socket_for_a_group(wharf, public):
    config = {"socket": {"mode": "0660", "group": str(NOBODY)}, **models("m")}
    d = wharf(config, listen=["127.0.0.1:0", f"unix:{public}/s"])
    st = os.stat(public / "s")
    assert (stat.S_IMODE(st.st_mode), st.st_gid) == (0o660, NOBODY)
    assert as_nobody(public / "s", "GET", "/wharf/status") == 200
    assert as_nobody(public / "s", "POST", CHAT, json.dumps(chat_body("m"))) == 200
    assert as_nobody(public / "s", "GET", "/unload") == 200
    assert as_nobody(public / "s", "POST", "/wharf/models/m/load") == 403
    with Connection(f"{public}/s") as c:
        assert c.ask("POST", "/wharf/models/m/load", b"").status == 200, "root administers"
    assert d.model("m")["state"] == "loaded"


@AS_ROOT
def test_a_user_in_place_of_a_key(wharf, public):
    config = {"socket": {"mode": "0666"}, "apiKeys": ["k"],
              "keys": [{"user": str(NOBODY), "models": ["m"]}, {"user": "root", "admin": True}], **models("m", "n")}
    d = wharf(config, listen=["127.0.0.1:0", f"unix:{public}/s"])
    assert as_nobody(public / "s", "POST", CHAT, json.dumps(chat_body("m"))) == 200
    assert as_nobody(public / "s", "POST", CHAT, json.dumps(chat_body("n"))) == 404
    assert as_nobody(public / "s", "GET", "/wharf/status") == 403
    assert as_nobody(d.address[1], "GET", "/wharf/status") == 401, "over TCP nobody is asked who he is"
    with Connection(f"{public}/s") as c:
        assert c.ask("POST", "/wharf/models/m/load", b"").status == 200
    assert d.get("/wharf/status").status == 401


@AS_ROOT
def test_a_worker_names_no_socket_of_another_user(wharf, public):
    """wharf may open it and the worker may not: the worker would have wharf speak to it."""
    d = wharf({"models": {"clip": {"backend": "worker", "devices": {"cpu": {}}}}})
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{public}/private")
    os.chmod(public / "private", 0o600)
    listener.listen()
    listener.settimeout(SECONDS)
    body = json.dumps({"model": "clip", "device": "cpu", "proxy": f"unix:{public}/private"})
    status, p = as_nobody(d.address[1], "POST", "/wharf/workers", body, keep=True)
    try:
        assert status == 200
        d.until_model("clip", state="loaded")
        answer = d.post("/v1/embeddings", {"model": "clip", "input": "x"})
        assert answer.status == 502, answer
        peer, _ = listener.accept()
        peer.settimeout(SECONDS)
        assert peer.recv(4096) == b"", "nothing was said"
    finally:
        p.communicate(timeout=SECONDS)
        listener.close()


LEASE = {"vram": "1GiB", "ttl": 60}
GPU = {"gpus": [{"sim": {"name": "S", "memory": "8GiB"}}]}


@AS_ROOT
@pytest.mark.slice
def test_a_process_of_another_user_is_not_a_leases(wharf):
    d = wharf({**GPU, **models("m")})
    body = {**LEASE, "name": "x", "pid": os.getpid()}
    assert as_nobody(d.address[1], "POST", "/wharf/leases", json.dumps(body)) in (200, 201)
    assert d.post("/wharf/leases", {**body, "name": "y"}).status in (200, 201)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=NOBODY) as theirs:
        assert d.post("/wharf/leases", {**body, "name": "z", "pid": theirs.pid}).status in (200, 201)
        theirs.stdin.close()
    pids = {lease["name"]: lease["pid"] for lease in d.get("/wharf/leases").json()["leases"]}
    assert pids == {"x": None, "y": os.getpid(), "z": None}, "nor is it for root, who asks for himself"


def test_a_process_that_has_nothing_to_do_with_the_asker_is_not_a_leases(wharf, tmp_path):
    """Of the same user: a proxy's, or the number that a process has in its container."""
    d = wharf({**GPU, **models("m")}, listen=["127.0.0.1:0", f"unix:{tmp_path}/s"])
    script = """import os, subprocess, sys
p = subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1], "POST", "/wharf/leases", sys.argv[3] % os.getpid()],
                   stdin=subprocess.DEVNULL)
print(os.getpid())"""

    def ask(program, where, name, pid):
        """What a process of its own prints that asks, and names that pid."""
        body = json.dumps({**LEASE, "name": name}).replace("}", f', "pid": {pid}}}')
        asks = (where, ASK, body) if program == script else (where, "POST", "/wharf/leases", body)
        return subprocess.run([sys.executable, "-c", program, *map(str, asks)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, timeout=SECONDS).stdout.split()

    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        for name, pid in (("other", other.pid), ("daemon", d.process.pid), ("init", 1), ("none", 2**31 - 1)):
            assert ask(ASK, d.address[1], name, pid)[0] in ("200", "201"), name
        with Connection(f"{tmp_path}/s") as c:
            body = json.dumps({**LEASE, "name": "unix", "pid": other.pid})
            assert c.ask("POST", "/wharf/leases", body).status in (200, 201)
        assert d.post("/wharf/leases", {**LEASE, "name": "child", "pid": other.pid}).status in (200, 201)
        status, parent = ask(script, d.address[1], "parent", "%d")
        assert status in ("200", "201")
        pids = {lease["name"]: lease["pid"] for lease in d.get("/wharf/leases").json()["leases"]}
        other.stdin.close()
    assert pids == {"other": None, "daemon": None, "init": None, "none": None, "unix": os.getpid(),
                    "child": other.pid, "parent": int(parent)}

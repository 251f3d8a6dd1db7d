"""TLS towards peers and models: who is trusted, what breaks, and that streams stay streams."""

import contextlib
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from test_websocket import WebSocket
from wharf_harness import (SECONDS, SLOWNESS, SSE_HEAD, WHARF, Connection, Gone, Later, Upstream,
                           chat_body, demo, rss_kib, serve_requests, together, until)

CHAT = "/v1/chat/completions"
# Of a daemon that is held up with 24 MiB to pass on; sanitizers keep what was freed.
GROWTH_KIB_MAX = 4096 * SLOWNESS


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder, name="wharf test authority"):
        self.folder, self.count = folder, 0
        folder.mkdir()
        self.file = folder / "ca.pem"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
                     "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE")

    def openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)

    def sign_for(self, start, end):
        """The same, valid between two times of openssl's form (20300101000000Z)."""
        (self.folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nserial=number\ndefault_md=sha256\n"
            "policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n")
        (self.folder / "index").touch()
        _, key = self.sign()
        base = f"s{self.count}"
        self.openssl("ca", "-batch", "-config", "ca.cnf", "-create_serial", "-cert", "ca.pem", "-keyfile", "ca.key",
                     "-in", f"{base}.csr", "-out", f"{base}.dated.pem", "-extfile", f"{base}.ext", "-notext",
                     "-startdate", start, "-enddate", end)
        return self.folder / f"{base}.dated.pem", key

    def sign(self, names="DNS:localhost,IP:127.0.0.1,IP:::1", days=2, kind="ec", subject="wharf test"):
        """(certificate, key): files of a certificate for these names; ended already when days < 0."""
        self.count += 1
        base = f"s{self.count}"
        (self.folder / f"{base}.ext").write_text(f"subjectAltName={names}\n")
        option = {"ec": "ec_paramgen_curve:P-256", "rsa": "rsa_keygen_bits:2048"}[kind]
        self.openssl("req", "-newkey", kind, "-pkeyopt", option, "-nodes",
                     "-keyout", f"{base}.key", "-out", f"{base}.csr", "-subj", f"/CN={subject}")
        self.openssl("x509", "-req", "-in", f"{base}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-CAcreateserial", "-out", f"{base}.pem", "-extfile", f"{base}.ext",
                     "-days", str(days))
        return self.folder / f"{base}.pem", self.folder / f"{base}.key"


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki") / "ca")


@pytest.fixture(scope="session")
def certificate(authority):
    return authority.sign()


class TlsUpstream(Upstream):
    """A scripted server under TLS."""

    def __init__(self, script, certificate, **limits):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        self.context.set_alpn_protocols(["http/1.1"])
        for name, value in limits.items():
            setattr(self.context, name, value)
        self.handshakes_failed = 0
        super().__init__(script)

    def _run(self, peer, number):
        try:
            peer.sock = self.context.wrap_socket(peer.sock, server_side=True,
                                                 suppress_ragged_eofs=False)
        except (ssl.SSLError, ConnectionError):
            self.handshakes_failed += 1
            return
        super()._run(peer, number)


@pytest.fixture
def tls_upstream(certificate):
    started = []

    def start(script, with_certificate=None, **limits):
        started.append(TlsUpstream(script, with_certificate or certificate, **limits))
        return started[-1]

    yield start
    for u in started:
        u.close()


@pytest.fixture
def near(wharf, authority):
    """near(port, **keys of the peer) → a daemon that trusts the authority, with model r of a peer."""
    def start(port, host="127.0.0.1", config=None, env=None, **keys):
        peer = {"proxy": f"https://{host}:{port}", "models": ["r"], **keys}
        return wharf({"peers": {"p": peer}, **(config or {})},
                     env={"SSL_CERT_FILE": str(authority.file)} if env is None else env)
    return start


def echo(peer, line, headers, body):
    peer.answer(json.dumps({"line": line, "headers": headers, "body": body.decode()}))


@pytest.mark.slice
@pytest.mark.valgrind
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_peer(near, tls_upstream, host, version):
    up = tls_upstream(serve_requests(echo), maximum_version=getattr(ssl.TLSVersion, version))
    d = near(up.port, host)
    for _ in range(3):
        got = d.ok(d.chat("r")).json()
        assert got["line"] == f"POST {CHAT} HTTP/1.1"
        assert got["headers"]["host"] == f"{host}:{up.port}"
    assert len(up.peers) == 1, "the connection is kept"
    assert up.peers[0].sock.version() == version[:5] + version[5:].replace("_", ".")
    assert up.peers[0].sock.selected_alpn_protocol() == "http/1.1"


def test_a_model_of_this_machine(wharf, tls_upstream, authority):
    lines = []

    def answer(peer, line, headers, body):
        lines.append(line)
        echo(peer, line, headers, body)

    up = tls_upstream(serve_requests(answer))
    d = wharf({"models": {"m": up.model(proxy=f"https://localhost:{up.port}",
                                        checkEndpoint="/health")}},
              env={"SSL_CERT_FILE": str(authority.file)})
    d.ok(d.chat("m"))
    assert lines == ["GET /health HTTP/1.1", f"POST {CHAT} HTTP/1.1"]


@pytest.mark.slice
def test_large_bodies_both_ways(near, tls_upstream):
    up = tls_upstream(serve_requests(lambda peer, line, headers, body: peer.answer(body)))
    d = near(up.port)
    text = "äöü" * 700_000
    answer = d.ok(d.chat("r", text))
    assert answer.json()["messages"][0]["content"] == text


def test_each_event_arrives_before_the_next_is_sent(near, tls_upstream):
    go, say = socket.socketpair()

    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        for i in range(20):
            peer.chunk(f"data: {i}\n\n")
            go.recv(1)
        peer.send("0\r\n\r\n")

    d = near(tls_upstream(script).port)
    c = d.connect().request("POST", CHAT, chat_body("r", stream=True))
    answer, got = c.head(), []
    for event in c.sse(answer):
        got.append(event["data"])
        say.send(b"!")
    assert got == [str(i) for i in range(20)] and answer.complete


@pytest.mark.slice
def test_a_slow_client_holds_the_server_up(near, tls_upstream):
    size, sent = 24 * 1024 * 1024, []

    def script(peer, _):
        peer.request()
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
        for i in range(size // 65536):
            peer.send(bytes([i % 251]) * 65536)
            sent.append(i)

    d = near(tls_upstream(script).port, config={"captureBuffer": 0})
    c = d.connect(receive_buffer=16384).request("POST", CHAT, chat_body("r"))
    answer = c.head()
    pieces = c.pieces(answer)
    first = next(pieces)
    before = rss_kib(d.pid)
    until(lambda: is_steady(sent), "the server is held up")
    assert len(sent) < size // 65536 and rss_kib(d.pid) - before < GROWTH_KIB_MAX
    body = first + b"".join(pieces)
    assert answer.complete and len(body) == size
    assert all(body[i * 65536] == i % 251 for i in range(size // 65536))


def is_steady(items):
    count = len(items)
    threading.Event().wait(0.2)
    return len(items) == count


def test_a_websocket(near, tls_upstream, wharf):
    far = wharf({"models": {"r": demo("r")}})

    def pump(source, target):
        while data := source.recv(65536):
            target.sendall(data)

    def script(peer, _):
        with socket.create_connection(far.address) as back:
            Later(pump, back, peer.sock)
            try:
                pump(peer.sock, back)
            finally:
                back.shutdown(socket.SHUT_RDWR)  # the other thread's recv() keeps it open

    ws = WebSocket(near(tls_upstream(script).port), "/upstream/p/r/upstream/r/ws")
    for payload in (b"hello", b"x" * 70_000):
        ws.send(payload)
        assert ws.receive() == (1, payload)
    ws.c.close()


# ---------------------------------------------------------------- whom it does not trust

UNTRUSTED = {
    "an authority that nobody knows": ("signed", {"env": {}}),
    "another name": ("named", {}),
    "a name in the subject alone": ("subject", {"host": "localhost"}),
    "ended": ("ended", {}),
    "no TLS": ("plain", {}),
}


@pytest.mark.slice
@pytest.mark.parametrize("what", UNTRUSTED)
def test_it_is_not_trusted(near, tls_upstream, upstream, authority, what):
    kind, options = UNTRUSTED[what]
    seen = []
    script = serve_requests(lambda *request: seen.append(request))
    if kind == "plain":
        up = upstream(lambda peer, _: peer.send("HTTP/1.1 400 Speak HTTP\r\n\r\n"))
    elif kind == "signed":
        up = tls_upstream(script)
    elif kind == "subject":
        up = tls_upstream(script, authority.sign("IP:127.0.0.9", subject="localhost"))
    else:
        up = tls_upstream(script, authority.sign(*(["DNS:elsewhere.example"] if kind == "named" else
                                                   ["IP:127.0.0.1", -1])))
    d = near(up.port, **options)
    answer = d.chat("r")
    assert (answer.status, answer.error["code"]) == (502, "upstream_error"), answer
    assert ("TLS: " if kind == "plain" else "its certificate cannot be trusted") in answer.message
    assert not seen


# ---------------------------------------------------------------- what breaks

ENDS = [("with TLS's own end", True), ("without", False)]


@pytest.mark.slice
@pytest.mark.parametrize("how, proper", ENDS, ids=[e[0] for e in ENDS])
def test_an_answer_that_ends_with_the_connection(near, tls_upstream, how, proper):
    def script(peer, _):
        peer.request()
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it")
        if proper:
            peer.sock.unwrap()
        else:
            peer.sock.shutdown(socket.SHUT_WR)

    d = near(tls_upstream(script).port)
    answer = d.chat("r")
    assert answer.status == 200 and answer.text == "all of it"
    assert answer.complete == proper


@pytest.mark.slice
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_handshake_that_never_ends(near, upstream, host):
    """localhost has another address to try, where nobody listens; what is told is the first."""
    d = near(upstream(lambda peer, _: [peer.fill(), peer.is_closed()]).port, host,
             timeouts={"tlsHandshake": 1})
    answer = d.chat("r")
    assert (answer.status, answer.error["code"]) == (504, "upstream_timeout"), answer
    assert ("handshake" if host == "127.0.0.1" else "timed out") in answer.message


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_handshake_that_is_broken_off(near, upstream, how):
    d = near(upstream(lambda peer, _: [peer.fill(), getattr(peer, how)()]).port)
    answer = d.chat("r")
    assert (answer.status, answer.error["code"]) == (502, "upstream_error"), answer


def test_a_kept_connection_that_has_gone(near, tls_upstream):
    def script(peer, number):
        peer.request()
        peer.answer(str(number))
        with contextlib.suppress(OSError):  # a request may cross the end
            peer.sock.unwrap() if number == 1 else peer.sock.shutdown(socket.SHUT_RDWR)

    d = near(tls_upstream(script).port)
    assert [d.ok(d.chat("r")).text for _ in range(3)] == ["1", "2", "3"]


@pytest.mark.slice
def test_many_handshakes_at_once(near, tls_upstream, upstream):
    """Half of them are never answered; neither the others nor plain requests wait for them."""
    good = tls_upstream(serve_requests(echo))
    silent = upstream(lambda peer, _: peer.is_closed() or peer.is_closed())
    d = near(good.port, config={"models": {"m": demo("m")}, "peers": {
        "p": {"proxy": f"https://127.0.0.1:{good.port}", "models": ["r"]},
        "q": {"proxy": f"https://127.0.0.1:{silent.port}", "models": ["s"]}}})
    stuck = [d.connect().request("POST", CHAT, chat_body("s")) for _ in range(40)]
    answers = together(40, lambda i: d.chat("r" if i % 2 else "m", seconds=3 * SECONDS))
    assert all(a.status == 200 for a in answers)
    for c in stuck:
        c.close()


def test_the_client_leaves_in_the_handshake(near, upstream):
    up = upstream(lambda peer, _: [peer.fill(), peer.is_closed()])
    d = near(up.port)
    c = d.connect().request("POST", CHAT, chat_body("r"))
    until(lambda: up.peers and up.peers[0].buffer, "the handshake has begun")
    c.close()
    assert d.get("/health").status == 200


# ---------------------------------------------------------------- towards clients


class TlsConnection(Connection):
    def __init__(self, port, authority, host="localhost", **limits):
        context = ssl.create_default_context(cafile=str(authority.file))
        context.set_alpn_protocols(["h2", "http/1.1"])
        for name, value in limits.items():
            setattr(context, name, value)
        super().__init__(("127.0.0.1", port))
        self.sock = context.wrap_socket(self.sock, server_hostname=host,
                                        suppress_ragged_eofs=False)


class Secured:
    """A daemon that speaks TLS on TCP, and plain HTTP on a unix socket."""

    def __init__(self, wharf, tmp_path, certificate, config):
        self.files = [tmp_path / "cert.pem", tmp_path / "key.pem"]
        self.put(certificate)
        self.daemon = wharf(config, listen=[f"unix:{tmp_path}/w.sock", "127.0.0.1:0"],
                            args=["--tls-cert-file", str(self.files[0]),
                                  "--tls-key-file", str(self.files[1])])
        self.port = int(re.search(r"listening on 127\.0\.0\.1:(\d+) with TLS",
                                  self.daemon.stderr)[1])

    def put(self, certificate):
        for file, source in zip(self.files, certificate):
            file.write_bytes(source.read_bytes())


@pytest.fixture
def secured(wharf, tmp_path, certificate, authority):
    """secured(config) → (daemon, connect), where connect() is a connection under TLS."""
    opened = []

    def start(config, with_certificate=None):
        s = Secured(wharf, tmp_path, with_certificate or certificate, config)

        def connect(**options):
            opened.append(TlsConnection(s.port, authority, **options))
            return opened[-1]

        s.connect = connect
        return s

    yield start
    for c in opened:
        c.close()


@pytest.mark.slice
@pytest.mark.valgrind
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_client(secured, version):
    s = secured({"models": {"m": demo("m")}})
    c = s.connect(maximum_version=getattr(ssl.TLSVersion, version))
    assert c.sock.selected_alpn_protocol() == "http/1.1"
    for stream in (False, True, False):
        answer = c.ask("POST", CHAT, chat_body("m", stream=stream))
        assert answer.status == 200 and answer.complete
    s.daemon.ok(s.daemon.chat("m"))


def test_an_event_is_one_record(secured, upstream):
    """A read gives out one record, and an event is a chunk of three pieces."""
    events = ["data: %d\n\n" % i for i in range(5)]
    taken = threading.Semaphore(0)

    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        for event in events:
            taken.acquire(timeout=SECONDS)
            peer.chunk(event)

    s = secured({"models": {"m": upstream(script).model()}})
    c = s.connect()
    c.request("POST", CHAT, chat_body("m", stream=True)).head()
    for event in events:
        taken.release()
        assert c.sock.recv(65536) == b"%x\r\n%s\r\n" % (len(event), event.encode())


def test_who_waits_for_its_handshake_is_not_read(secured):
    """A few are served in a turn of the loop; what the others send meanwhile stays in their sockets."""
    s = secured({})
    hello, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(hello, out, server_hostname="localhost").do_handshake()
    flood = out.read() + (b"\x17\x03\x03\x40\x00" + bytes(0x4000)) * 64
    s.connect().ask("GET", "/health")
    pid = s.daemon.process.pid
    before = rss_kib(pid, "VmHWM")
    s.daemon.signal(signal.SIGSTOP)
    clients = []
    for _ in range(200):
        clients.append(socket.create_connection(("127.0.0.1", s.port)))
        clients[-1].setblocking(False)
        with contextlib.suppress(BlockingIOError):
            clients[-1].send(flood)
    s.daemon.signal(signal.SIGCONT)
    s.connect().ask("GET", "/health")
    assert rss_kib(pid, "VmHWM") - before < 200 * 256 * SLOWNESS
    for c in clients:
        c.close()


@pytest.mark.slice
def test_the_end_of_a_connection_is_said(secured):
    c = secured({}).connect()
    answer = c.ask("GET", "/health", headers={"Connection": "close"})
    assert answer.status == 200
    with pytest.raises(Gone):  # an end without TLS's own would be an SSLError
        c.fill()


@pytest.mark.slice
def test_large_bodies_of_a_client(secured, upstream):
    up = upstream(serve_requests(lambda peer, line, headers, body: peer.answer(body)))
    c = secured({"models": {"m": up.model()}}).connect()
    text = "äöü" * 700_000
    for _ in range(2):
        assert c.ask("POST", CHAT, chat_body("m", text)).json()["messages"][0]["content"] == text


def test_a_client_that_takes_nothing(secured, upstream):
    size, sent = 24 * 1024 * 1024, []

    def script(peer, _):
        peer.request()
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
        for i in range(size // 65536):
            peer.send(bytes(65536))
            sent.append(i)

    s = secured({"captureBuffer": 0, "models": {"m": upstream(script).model()}})
    c = s.connect().request("POST", CHAT, chat_body("m"))
    answer = c.head()
    before = rss_kib(s.daemon.pid)
    until(lambda: is_steady(sent), "the server is held up")
    assert len(sent) < size // 65536 and rss_kib(s.daemon.pid) - before < GROWTH_KIB_MAX
    assert sum(map(len, c.pieces(answer))) == size and answer.complete


def test_a_websocket_of_a_client(secured):
    s = secured({"models": {"m": demo("m")}})
    ws = WebSocket(type("Tls", (), {"connect": staticmethod(s.connect)}))
    for payload in (b"hello", b"y" * 70_000):
        ws.send(payload)
        assert ws.receive() == (1, payload)


@pytest.mark.slice
@pytest.mark.parametrize("what", [b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01", b""])
def test_no_handshake(secured, what):
    s = secured({"timeouts": {"head": "1s"}})
    with Connection(("127.0.0.1", s.port)) as c:
        c.send(what)
        try:
            answer = c.sock.recv(4096)
            assert answer[:1] in (b"", b"\x15"), "nothing, or TLS's own alert"
        except ConnectionError:
            pass
    assert s.connect().ask("GET", "/health").status == 200


@pytest.mark.slice
def test_certificates_are_read_again(secured, authority):
    s = secured({})
    old, first = s.connect(), s.connect().sock.getpeercert()["serialNumber"]
    s.put(authority.sign())
    events = s.daemon.events()
    s.daemon.signal(signal.SIGHUP)
    events.wait_for("config_reloaded")
    second = s.connect().sock.getpeercert()["serialNumber"]
    assert second != first
    s.files[1].write_text("no key")
    s.daemon.signal(signal.SIGHUP)
    events.wait_for("config_reloaded")
    assert "the certificate that was read before stays" in s.daemon.stderr
    assert s.connect().sock.getpeercert()["serialNumber"] == second
    assert old.ask("GET", "/health").status == 200


@pytest.mark.slice
def test_renewed_files_are_noticed(secured, authority):
    """Whoever renews certificates needs to tell nobody, and connections go on."""
    s = secured({"models": {"m": demo("m")}})
    old = s.connect()
    first = old.sock.getpeercert()["serialNumber"]
    assert old.ask("POST", CHAT, chat_body("m")).status == 200
    s.put(authority.sign())

    def is_renewed():
        with contextlib.closing(s.connect()) as c:
            return c.sock.getpeercert()["serialNumber"] != first
    until(is_renewed, "the new certificate")
    assert old.ask("POST", CHAT, chat_body("m")).status == 200
    assert old.sock.getpeercert()["serialNumber"] == first
    assert "the files of TLS have changed" in s.daemon.stderr


def stamp(seconds):
    """So far from now, as openssl writes it."""
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))


DAY = 86400
DATED = [("ends soon", -80 * DAY, 9.5 * DAY, "expires in 9 days, on "),
         ("ends today", -80 * DAY, DAY / 2, "expires within a day, on "),
         ("has ended", -80 * DAY, -DAY, "has expired, on "),
         ("has not begun", DAY, 80 * DAY, "is not valid before ")]


def troubles(d):
    return [t for t in d.get("/wharf/status").json()["degradations"] if t["what"] == "certificate"]


@pytest.mark.parametrize("name, start, end, said", DATED, ids=[d[0] for d in DATED])
def test_a_certificate_that_is_not_valid_for_long(secured, authority, tmp_path, name, start, end, said):
    dated = authority.sign_for(stamp(start), stamp(end))
    s = secured({}, dated)
    told, = troubles(s.daemon)
    assert told["name"] == str(s.files[0]) and told["reason"].startswith(said), told
    assert said in s.daemon.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", s.port), SECONDS) as sock:
        with context.wrap_socket(sock) as tls:
            tls.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert tls.recv(100).startswith(b"HTTP/1.1 200"), "it serves all the same"
    run = check(tmp_path, *s.files)
    assert run.returncode == 0 and f"{s.files[0]}: warning: the certificate {said}" in run.stderr
    events = s.daemon.events()
    s.put(authority.sign_for(stamp(-DAY), stamp(80 * DAY)))
    s.daemon.signal(signal.SIGHUP)
    assert events.wait_for("recovered")["details"]["what"] == "certificate"
    assert not troubles(s.daemon)
    assert check(tmp_path, *s.files).stderr == ""


@pytest.mark.slice
def test_a_certificate_that_expires_while_wharf_serves(secured, authority):
    s = secured({}, authority.sign_for(stamp(-80 * DAY), stamp(4 * SLOWNESS)))
    until(lambda: troubles(s.daemon)[0]["reason"].startswith("has expired, on "), "the end of the certificate")


def test_one_that_it_is_signed_with_counts(secured, authority, tmp_path):
    """Without it nobody trusts the other."""
    ended, _ = authority.sign_for(stamp(-80 * DAY), stamp(-DAY))
    certificate, key = authority.sign()
    chain = tmp_path / "chain.pem"
    chain.write_bytes(certificate.read_bytes() + ended.read_bytes())
    s = secured({}, (chain, key))
    assert troubles(s.daemon)[0]["reason"].startswith("has expired, on ")


def check(tmp_path, certificate, key, *words):
    (tmp_path / "c.yaml").write_text("{}")
    return subprocess.run([WHARF, "check", tmp_path / "c.yaml", "--tls-cert-file", certificate, "--tls-key-file", key,
                           *words], capture_output=True, text=True, timeout=SECONDS)


def test_a_key_that_others_may_read_is_told(secured, authority):
    s = secured({})
    s.files[1].chmod(0o644)
    events = s.daemon.events()
    s.daemon.signal(signal.SIGHUP)
    events.wait_for("config_reloaded")
    assert f"the key of the certificate, {s.files[1]}, can be read by every user (mode 0644)" in s.daemon.stderr


@pytest.mark.slice
def test_old_versions_are_not_spoken(secured):
    s = secured({})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", s.port), SECONDS) as sock, pytest.raises(ssl.SSLError):
        context.wrap_socket(sock)


UNUSABLE = [("no such file", "certificate", None, "No such file"), ("no key", "key", "nothing", ""),
            ("another's key", "key", "other", "key values mismatch"),
            ("a key of another kind", "key", "rsa", "no certificate assigned")]


@pytest.mark.parametrize("name, which, what, message", UNUSABLE, ids=[u[0] for u in UNUSABLE])
def test_files_that_cannot_be_used(tmp_path, authority, certificate, name, which, what, message):
    files = dict(zip(("certificate", "key"), certificate))
    files[which] = {"other": authority.sign, "rsa": lambda: authority.sign(kind="rsa")}.get(
        what, lambda: [None, tmp_path / "file.pem"])()[1]
    if what == "nothing":
        files[which].write_text("nothing\n")
    (tmp_path / "c.yaml").write_text("{}")
    run = subprocess.run([WHARF, "serve", "--config", tmp_path / "c.yaml", "--state", tmp_path / "s",
                          "--listen", "127.0.0.1:0", "--tls-cert-file", files["certificate"],
                          "--tls-key-file", files["key"]], capture_output=True, text=True,
                         timeout=SECONDS)
    assert run.returncode == 1
    assert f"TLS cannot be used: {files[which]}: " in run.stderr and message in run.stderr, run
    run = check(tmp_path, files["certificate"], files["key"])
    assert (run.returncode, run.stdout) == (2, "") and message in run.stderr, run
    told = json.loads(check(tmp_path, files["certificate"], files["key"], "--json").stdout)
    assert (told["ok"], told["errors"]) == (False, 1) and message in told["messages"][0]


def test_many_clients_at_once(secured):
    s = secured({"models": {"m": demo("m")}})
    answers = together(30, lambda i: s.connect().ask("POST", CHAT, chat_body("m")))
    assert all(a.status == 200 for a in answers)

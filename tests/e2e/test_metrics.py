"""/metrics: src/server/metrics/metrics.def, the dashboard and the alerts (docs/metrics.md)."""

import json
import os
import pathlib
import re
import shutil
import time

import pytest

from leases import Lease, gpu
from metrics import GEN_DOCS, ROWS, TABLE, Metrics, Prometheus, family, promtool, read
from wharf_harness import ROOT, Connection, Later, chat_body, demo, held, models, serve_requests, until

CHAT = "/v1/chat/completions"
GRAFANA = ROOT / "packaging/grafana"
DASHBOARD = json.loads((GRAFANA / "wharf.json").read_text())
# With so many models that all have been asked for, and are in the answer (docs/metrics.md).
MANY = int(os.environ.get("WHARF_METRICS_MODELS", 60))
TIGHT = {"gpus": [gpu(memory="8GiB")]}
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")


def asked(d, name, outcome=None, **labels):
    return read(d).value("wharf_requests_total", model=name, **({"outcome": outcome} if outcome else {}), **labels)


def counted(d, name, value, /, **labels):
    """What is over is counted when it is over, which may be after its client has heard the last of it."""
    until(lambda: read(d).value(name, **labels) == value, f"{name}{labels} to be {value}; is "
          f"{read(d).value(name, **labels)}")


def steady(m):
    """Of what no request changes that is for no model."""
    return {key for key in m.series if key[0].startswith("wharf_")}


# ---------------------------------------------------------------- the text


@pytest.mark.slice
def test_it_is_what_the_table_says(wharf):
    d = wharf({**models("a"), **TIGHT, "gates": {"g": {"limit": 1}}})
    d.ok(d.chat("a"))
    answer = d.ok(d.get("/metrics"))
    assert answer.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    m = Metrics(answer.text)
    helps = {a[0]: a[-1] for _, a in GEN_DOCS["rows"](TABLE, "METRIC", "HISTOGRAM")}
    for name, kind in m.types.items():
        assert (kind, m.helps[name]) == (ROWS[name][0], helps[name])
    assert m.order == [name for name in ROWS if name in m.types], "not in the order of the table, or not together"
    for name, labels in m.series:
        want = ROWS[family(name)][1] + (["le"] if name.endswith("_bucket") else [])
        assert {k for k, _ in labels} <= set(want), (name, labels)
        assert {k for k, _ in labels} >= set(want) - {"uuid"}, (name, labels)


@needs_promtool
def test_promtool_has_no_complaint(wharf):
    d = wharf({**models("a"), **TIGHT, "gates": {"g": {"limit": 1}}})
    d.ok(d.chat("a"))
    Lease(d, gates=["g"]).close()
    until(lambda: "llamaswap_cpu" in d.get("/metrics").text, "a look at the machine")
    assert promtool("check", "metrics", input=d.ok(d.get("/metrics")).text) == (0, "")


def test_odd_names(wharf):
    """In a label, a quote, a backslash and a line feed are escaped; what is no ASCII is not."""
    odd = 'a "b"\\n\\ é'
    d = wharf({"models": {odd: demo("a")}, "gpus": [gpu('the "first" \\ one', memory="8GiB")]})
    d.ok(d.chat(odd))
    text = d.ok(d.get("/metrics")).text
    assert r'wharf_requests_total{model="a \"b\"\\n\\ é",class="normal",outcome="answered"} 1' in text
    m = Metrics(text)
    assert m.value("wharf_requests_total", model=odd) == 1
    assert m.value("wharf_device_capacity_bytes", name='the "first" \\ one') == 8 << 30
    if said := promtool("check", "metrics", input=text):
        assert said == (0, "")


def test_histograms_add_up(wharf):
    d = wharf(models("a", "b"))
    for name in "aabab":
        d.ok(d.chat(name))
    m = read(d)
    seen = set()
    for (name, labels), count in m.series.items():
        if not name.endswith("_count") or ROWS.get(family(name), ("",))[0] != "histogram":
            continue
        base = name.removesuffix("_count")
        seen.add(base)
        buckets = [(float(le), v) for k, v in m.of(base + "_bucket", **dict(labels)).items()
                   for le in [dict(k)["le"]] if set(k) - {("le", le)} == set(labels)]
        assert buckets == sorted(buckets), f"{base}: bounds do not rise"
        assert [v for _, v in buckets] == sorted(v for _, v in buckets), f"{base}: not cumulative"
        assert buckets[-1] == (float("inf"), count)
        total = m.series[base + "_sum", labels]
        least = sum((v - before) * low for (low, before), (_, v) in zip([(0, 0), *buckets], buckets))
        assert total >= least and (count or not total), f"{base}: {total} of {buckets}"
    assert seen >= {"wharf_request_wait_seconds", "wharf_request_first_byte_seconds", "wharf_request_seconds",
                    "wharf_model_load_seconds", "wharf_loop_lag_seconds", "wharf_core_step_seconds"}


# ---------------------------------------------------------------- requests


@pytest.mark.slice
def test_requests_by_outcome(wharf, upstream):
    """And each of them once, whatever becomes of it."""
    def script(peer, line, headers, body):
        what = json.loads(body)["messages"][0]["content"]
        if what == "hang":
            peer.is_closed()
        elif what == "close":
            raise ConnectionAbortedError("as told")
        else:
            peer.answer(json.dumps({"usage": {"prompt_tokens": 30, "completion_tokens": 5,
                                              "prompt_tokens_details": {"cached_tokens": 20}}}), int(what))
    u = upstream(serve_requests(script))
    d = wharf({"models": {"u": u.model(), "v": demo("v")}})
    of = {"X-Wharf-Class": "foreground"}
    assert d.chat("u", "200", of).status == d.chat("u", "200").status == 200
    assert d.chat("u", "404").status == 404
    assert d.chat("u", "500").status == 500
    assert d.chat("u", "close").status == 502
    assert d.chat("v", "now", {"X-Wharf-Wait": "0"}).status == 503
    assert d.chat("nobody").status == 404
    with Connection(d.address) as c:
        c.request("POST", CHAT, chat_body("u", "hang"))
        counted(d, "wharf_requests_running", 1, model="u", **{"class": "normal"})
    counted(d, "wharf_requests_total", 1, model="u", outcome="cancelled")
    m = read(d)
    outcomes = {tuple(dict(k)[n] for n in ("model", "class", "outcome")): v
                for k, v in m.of("wharf_requests_total").items()}
    assert outcomes == {("u", "foreground", "answered"): 1, ("u", "normal", "answered"): 2, ("u", "normal", "error"): 1,
                        ("u", "normal", "failed"): 1, ("u", "normal", "cancelled"): 1,
                        ("v", "normal", "refused"): 1, ("(other)", "normal", "refused"): 1}
    assert m.value("wharf_requests_running") == m.value("wharf_requests_waiting") == 0
    # Six were let through to u, four of them were answered with something, and three of these well.
    counts = {name: m.value(f"wharf_request_{name}seconds_count", model="u") for name in ("wait_", "first_byte_", "")}
    assert counts == {"wait_": 6, "first_byte_": 4, "": 3}
    assert m.value("wharf_request_wait_seconds_count", model="v") == 0
    tokens = {dict(k)["kind"]: v for k, v in m.of("wharf_tokens_total", model="u", **{"class": "normal"}).items()}
    assert tokens == {"input": 30, "output": 5, "cached": 20}, "of what has been answered with 200"
    assert m.value("wharf_decisions_total", decision="refused", reason="busy") == 1
    assert m.value("wharf_http_responses_total", status="4xx") == 2
    assert m.value("wharf_http_responses_total", status="5xx") == 3


def test_waiting_and_running(wharf, tmp_path):
    flag = tmp_path / "go"
    d = wharf({"models": {"slow": held(demo("slow"), flag)}})
    first, second = Later(d.chat, "slow"), Later(d.chat, "slow", headers={"X-Wharf-Class": "background"})
    for name in ("normal", "background"):
        counted(d, "wharf_requests_waiting", 1, model="slow", **{"class": name})
    m = read(d)
    assert m.value("wharf_model_state", model="slow", state="loading") == m.value("wharf_model_state") == 1
    assert m.value("wharf_requests_running") == 0 and asked(d, "slow") == 0
    flag.touch()
    assert first.result().status == second.result().status == 200
    counted(d, "wharf_requests_total", 2, model="slow", outcome="answered")
    m = read(d)
    assert m.value("wharf_requests_waiting") == 0
    assert m.of("wharf_requests_waiting", model="slow", **{"class": "background"}), "0 is told, once there was one"
    waited = m.value("wharf_request_wait_seconds_sum", model="slow")
    assert waited >= 2 * m.value("wharf_model_load_seconds_sum", model="slow") * 0.5 > 0
    assert m.value("wharf_request_seconds_sum", model="slow") >= waited


def test_a_connection_that_is_refused_waits_once(wharf, upstream):
    """It goes back into the queue: its wait is told once."""
    u = upstream(serve_requests(lambda peer, *_: peer.answer()))
    d = wharf({"models": {"u": u.model()}})
    d.ok(d.chat("u"))
    u.close()
    assert d.chat("u").status == 502
    m = read(d)
    assert m.value("wharf_requests_total", model="u", outcome="failed") == 1
    assert m.value("wharf_request_wait_seconds_count", model="u") == 2 < m.value("wharf_core_effects_total", type="grant")


def test_requests_to_peers_are_of_no_model(wharf, upstream):
    u = upstream(serve_requests(lambda peer, *_: peer.answer()))
    d = wharf({**models("a"), "peers": {"p": {"proxy": f"http://127.0.0.1:{u.port}", "models": ["x", "y"]}}})
    for name in ("x", "y", "x"):
        d.ok(d.chat(name))
    m = read(d)
    assert m.value("wharf_requests_total", model="(other)", outcome="answered") == m.value("wharf_requests_total") == 3
    assert m.value("wharf_request_seconds_count", model="(other)") == 3


@pytest.mark.slice
def test_names_that_clients_invent_make_no_series(wharf):
    d = wharf(models("a"))

    def ask(i):
        name, headers = f"invented-{i}", {"Authorization": f"Bearer {i}", "User-Agent": f"agent {i}"}
        assert d.chat(name, headers=headers).status == 404
        assert d.get(f"/upstream/{name}/x", headers).status == 404
        assert d.get(f"/{name}", headers).status == 404
        assert d.post(CHAT, '{"model": "', headers).status == 400
        assert d.ask(f"X{i}", "/v1/models").status == 405
        assert d.chat("a", headers={"X-Wharf-Class": name}).status == 400
        assert d.chat("a", headers={"X-Wharf-Lease": f"{name}:x"}).status >= 400
        assert d.post("/wharf/leases", {"gates": [name]}).status >= 400
    ask(0)
    before = steady(read(d))
    for i in range(1, 20):
        ask(i)
    m = read(d)
    assert steady(m) == before
    assert "invented" not in m.text and m.value("wharf_requests_total", model="(other)", outcome="refused") == 100


def test_a_model_that_is_called_so(wharf):
    d = wharf({"models": {"(other)": demo("o")}})
    d.ok(d.chat("(other)"))
    d.chat("nobody")
    assert asked(d, "(other)") == 2  # and read() has seen that no series stands there twice


# ---------------------------------------------------------------- models and devices


@pytest.mark.slice
def test_swaps_and_thrash(wharf):
    d = wharf({"models": {"a": demo("a", vram="5GiB"), "b": demo("b", vram="6GiB"),
                          "broken": demo("broken", "--crash-on-load", vram="1GiB", loadRetries=0)}, **TIGHT})
    for name in ("a", "b", "a"):
        d.ok(d.chat(name))
    assert d.chat("broken").status == 502
    m = read(d)
    for name, loads, evicted, reloads in (("a", 2, 1, 1), ("b", 1, 1, 0), ("broken", 0, 0, 0)):
        assert m.value("wharf_model_loads_total", model=name) == loads
        assert m.value("wharf_model_load_seconds_count", model=name) == loads
        assert m.value("wharf_model_evictions_total", model=name, reason="cheapest") == evicted
        assert m.value("wharf_model_unloads_total", model=name, reason="evicted") == evicted
        assert m.value("wharf_model_reloads_total", model=name) == reloads
    assert 0 < m.value("wharf_model_reload_seconds_total") < m.value("wharf_model_load_seconds_sum", model="a")
    assert m.value("wharf_reload_ratio") == 0.3333
    assert m.value("wharf_model_load_failures_total", model="broken") == \
        m.value("wharf_model_load_failures_total") == m.value("wharf_decisions_total", decision="load_failed") == 1
    assert m.value("wharf_decisions_total", decision="evict", reason="cheapest") == 2
    assert m.value("wharf_core_effects_total", type="load") == m.value("wharf_core_events_total",
                                                                       type="request_arrived") == 4
    assert m.value("wharf_core_events_total") <= m.value("wharf_core_step_seconds_count")


def test_a_command_is_no_eviction(wharf):
    d = wharf(models("a"))
    for _ in range(2):
        d.load("a")
        d.ok(d.post("/wharf/models/a/unload"))
    m = read(d)
    assert m.value("wharf_model_unloads_total", model="a", reason="command") == 2
    assert m.value("wharf_model_evictions_total") == m.value("wharf_model_reloads_total") == 0
    assert m.value("wharf_reload_ratio") == 0
    assert m.value("wharf_model_state", model="a", state="unloaded") == 1


def test_whose_the_memory_is(wharf):
    d = wharf({"models": {"a": demo("a", vram="3GiB")}, "gpus": [gpu(memory="8GiB", reserve="1GiB")]})
    d.load("a")
    lease = Lease(d, vram="2GiB")
    lease.until("granted")

    def owners():
        return {dict(k)["owner"]: v / (1 << 30) for k, v in read(d).of("wharf_device_bytes", device="0").items()}
    want = {"models": 3, "leases": 2, "settling": 0, "foreign": 0, "reserve": 1, "free": 2}
    until(lambda: owners() == want, f"{want}; is {owners()}")
    m = read(d)
    assert m.value("wharf_model_bytes", model="a") == 3 << 30
    assert m.value("wharf_device_up", name="gpu0") == 1
    assert m.value("wharf_device_capacity_bytes") == 8 << 30
    until(lambda: read(d).value("wharf_device_used_bytes") == 3 << 30, "what the engine has claimed")
    lease.close()


def test_counts_outlive_a_reload_and_go_with_the_model(wharf):
    config = {**models("a", "b"), "hooks": {}}
    d = wharf(config)
    for name in "ab":
        d.ok(d.chat(name))
    d.reload({**config, "models": {"a": config["models"]["a"], "c": demo("c")}})
    until(lambda: not read(d).of("wharf_model_state", model="b"), "b to be gone")
    m = read(d)
    assert m.value("wharf_requests_total", model="a") == m.value("wharf_model_loads_total", model="a") == 1
    assert {dict(k)["model"] for k in m.of("wharf_model_state")} == {"a", "c"}
    assert not [key for key in m.series if ("model", "b") in key[1]]
    d.ok(d.chat("c"))  # perhaps in the slot that b had
    assert asked(d, "c") == 1 and asked(d, "a") == 1


def test_an_upgrade_is_counted_and_begins_anew(wharf):
    d = wharf(models("a"))
    d.ok(d.chat("a"))
    before = read(d)
    for n in (1, 2):
        assert d.cli("upgrade").returncode == 0
        m = read(d)
        assert m.value("wharf_upgrades_total") == n
        assert m.value("wharf_requests_total") == 0 and m.value("wharf_model_state", model="a", state="loaded") == 1
    assert m.value("wharf_model_loads_total") == 0, "it was taken over, not loaded"
    assert m.value("process_start_time_seconds") > before.value("process_start_time_seconds")


# ---------------------------------------------------------------- leases and gates


@pytest.mark.slice
def test_leases(wharf):
    d = wharf({**models("a"), "gates": {"g": {"limit": 1}}, **TIGHT})
    first = Lease(d, gates=["g"], **{"class": "background"})
    first.until("granted")
    second = Lease(d, gates=["g"], **{"class": "normal"})
    counted(d, "wharf_gate_waiting", 1, gate="g")
    m = read(d)
    assert (m.value("wharf_leases_granted"), m.value("wharf_leases_waiting")) == (1, 1)
    assert (m.value("wharf_gate_slots"), m.value("wharf_gate_inside")) == (1, 1)
    first.close()
    second.until("granted")
    second.close()
    counted(d, "wharf_leases_ended_total", 2, reason="released")
    assert Lease(d, vram="100GiB").answer.status == 507
    answer = d.post("/wharf/leases", {"vram": "1GiB", "ttl": "1s", "class": "normal"})
    assert answer.status == 201
    counted(d, "wharf_leases_ended_total", 1, reason="lease_expired")
    m = read(d)
    for name in ("wharf_leases_granted_total", "wharf_lease_wait_seconds_count"):
        assert m.value(name) == 3 and m.value(name, **{"class": "background"}) == 1
    assert m.value("wharf_lease_wait_seconds_sum", **{"class": "normal"}) > 0
    assert m.value("wharf_leases_refused_total", reason="no_room") == m.value("wharf_leases_refused_total") == 1
    assert m.value("wharf_leases_granted") == m.value("wharf_leases_waiting") == m.value("wharf_gate_inside") == 0
    assert m.value("wharf_leases_revoked_total") == 0


def test_a_lease_that_is_asked_back(wharf):
    d = wharf({"models": {"a": demo("a", vram="6GiB")}, **TIGHT,
               "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}})
    lease = Lease(d, vram="6GiB", revocable=True, grace="20ms", **{"class": "background"})
    lease.until("granted")
    d.ok(d.chat("a", headers={"X-Wharf-Class": "foreground"}))
    m = read(d)
    assert m.value("wharf_leases_revoked_total") == m.value("wharf_leases_ended_total", reason="revoked") == 1


# ---------------------------------------------------------------- the daemon


def test_the_daemon_itself(wharf, tmp_path):
    store = tmp_path / "history.db"
    d = wharf({**models("a"), "store": {"path": str(store)}, "performance": {"every": "5s"}})
    events = d.events()
    d.ok(d.chat("a"))
    counted(d, "wharf_events_subscribers", 1)
    m = read(d)
    version = d.ok(d.get("/wharf/status")).json()
    assert m.value("wharf_build_info", version=version["version"], commit=version["commit"]) == 1
    assert m.value("wharf_ready") == 1 and m.value("wharf_degraded") == 0 and len(m.of("wharf_degraded")) == 5
    assert m.value("wharf_connections_open") == 2 and m.value("wharf_connections_refused_total") == 0
    assert read(d).value("wharf_connections_accepted_total") > m.value("wharf_connections_accepted_total") > 2
    assert m.value("wharf_events_published_total") == m.value("wharf_limit_used", limit="events") > 0
    assert m.value("wharf_store_dropped_rows_total") == 0
    statm = pathlib.Path(f"/proc/{d.pid}/statm").read_text().split()
    assert abs(m.value("process_virtual_memory_bytes") / (int(statm[0]) * os.sysconf("SC_PAGESIZE")) - 1) < 0.2
    assert 0 < m.value("process_resident_memory_bytes") < m.value("process_virtual_memory_bytes")
    assert abs(m.value("process_open_fds") - len(os.listdir(f"/proc/{d.pid}/fd"))) < 8
    assert m.value("process_max_fds") > m.value("process_open_fds")
    assert 0 < m.value("process_cpu_seconds_total") <= read(d).value("process_cpu_seconds_total")
    assert 0 <= time.time() - m.value("process_start_time_seconds") < 600
    assert m.value("wharf_loop_lag_seconds_count") > 0 and m.value("wharf_loop_lag_seconds_sum") > 0
    events.close()
    counted(d, "wharf_events_subscribers", 0)
    until(lambda: read(d).value("wharf_store_file_bytes") >= 4096, "the next look at the file", 20)


def test_what_a_follower_misses_is_counted(wharf):
    """One that comes back for what is not kept any more."""
    d = wharf({"models": {name: {**demo(name), "checkEndpoint": "none"} for name in "ab"}})
    with d.connect() as c:
        n = 0
        while read(d).value("wharf_limit_used", limit="events") < 2048:
            for _ in range(50):
                assert c.ask("POST", f"/wharf/models/{'ab'[n % 2]}/load").status == 200
                n += 1
    published = read(d).value("wharf_events_published_total")
    d.events(last_event_id=0).close()
    counted(d, "wharf_events_gaps_total", 1)
    assert read(d).value("wharf_events_missed_total") >= published - 2048


def test_keys(wharf):
    """As docs/metrics.md has it."""
    text = (ROOT / "docs/metrics.md").read_text()
    assert "readOnly: true" in text and "credentials" in text
    d = wharf({**models("a"), "keys": [{"name": "prometheus", "key": "look-only", "readOnly": True},
                                       {"name": "user", "key": "use-only", "models": ["a"]}]})
    assert d.get("/metrics").status == 401
    assert d.get("/metrics", {"Authorization": "Bearer use-only"}).status == 403
    key = {"Authorization": "Bearer look-only"}
    assert read(d, key).value("wharf_ready") == 1
    assert d.chat("a", headers=key).status == 403


# ---------------------------------------------------------------- how long it may become


@pytest.fixture
def crowd(wharf, upstream):
    u = upstream(serve_requests(lambda peer, *_: peer.answer()))
    d = wharf({"models": {f"model-{i:04}": u.model() for i in range(MANY)}, "logLevel": "warn"})
    with d.connect() as c:
        for i in range(MANY):
            assert c.ask("POST", CHAT, chat_body(f"model-{i:04}")).status == 200
    return d


@pytest.mark.slice
def test_a_long_answer_comes_in_pieces(crowd):
    """It is whole, and nobody has to wait until it is made."""
    answer = crowd.ok(crowd.get("/metrics"))
    assert answer.header("Transfer-Encoding") == "chunked" and len(answer.body) > 5000 * MANY
    m = Metrics(answer.text)
    assert m.order == [name for name in ROWS if name in m.types]
    assert len(m.of("wharf_requests_total", outcome="answered")) == MANY
    assert len(m.of("wharf_request_wait_seconds_bucket")) == 16 * MANY
    assert m.value("wharf_model_loads_total") == MANY and len(m.of("wharf_model_state")) == MANY


def test_one_who_does_not_read_it_costs_a_piece(crowd):
    """Neither time nor memory, beyond what is on its way; and it is the same when read at last."""
    answers = []
    with crowd.connect(receive_buffer=4096) as slow:
        slow.request("GET", "/metrics")
        for _ in range(3):
            answers.append(crowd.ok(crowd.get("/metrics")))
        unsent = read(crowd).value("wharf_limit_used", limit="unsent")
        assert unsent < 512 * 1024
        late = slow.answer()
    assert late.complete
    assert {len(Metrics(a.text).of("wharf_requests_total")) for a in [late, *answers]} == {MANY}
    with crowd.connect() as c:
        c.request("GET", "/metrics").fill()
    until(lambda: read(crowd).value("wharf_connections_open") <= 2, "those who left to be gone")


def test_a_head_alone(crowd):
    with crowd.connect() as c:
        head = c.ask("HEAD", "/metrics")
        assert head.status == 200 and int(head.header("Content-Length")) > 5000 * MANY
        assert c.ask("GET", "/health").status == 200


# ---------------------------------------------------------------- the dashboard and the alerts


def rules():
    """(name, expression) of each rule; the file has them on one line, or folded by `>-`."""
    text = (GRAFANA / "alerts.yaml").read_text()
    found = re.findall(r"- (?:record|alert): (\S+)\n +expr: (?:>-\n((?: {10,}.*\n)+)|(.*)\n)", text)
    assert len(found) == text.count("expr:")
    return [(name, " ".join(folded.split()) if folded else line) for name, folded, line in found]


def panels():
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for note in DASHBOARD["annotations"]["list"]:
        yield note["name"], note["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], re.fullmatch(r"label_values\((.*), \w+\)", variable["query"]["query"])[1]


def plain(expr):
    """As Grafana sends it, with everything chosen."""
    expr = expr.replace("$__rate_interval", "1m")
    expr = re.sub(r"\$(instance|model)\b", ".*", expr)
    assert "$" not in expr, expr
    return expr


EXPRESSIONS = [(title, plain(expr)) for title, expr in [*panels(), *rules()]]


def names_in(expr):
    return set(re.findall(r"\b(?:wharf|process|llamaswap)_\w+", expr))


def test_they_ask_for_what_there_is():
    """Each name is a metric's, each label one that it has."""
    recorded = {name for name, _ in rules()}
    for title, expr in EXPRESSIONS:
        bare = re.sub(r"\bwharf:[\w:]+", lambda m: m[0] if m[0] in recorded else pytest.fail(f"{title}: {m[0]}"), expr)
        for name in names_in(bare):
            assert family(name) in ROWS, f"{title}: {name}"
            assert ROWS[family(name)][0] != "histogram" or name != family(name), f"{title}: {name} is a histogram"
            for selector in re.findall(rf"\b{name}\{{([^}}]*)\}}", bare):
                labels = set(re.findall(r'(\w+)\s*[=!]~?"', selector)) - {"job", "instance"}
                assert labels <= set(ROWS[family(name)][1]), f"{title}: {name}{{{selector}}}"
    assert len(EXPRESSIONS) > 80
    shown = {family(n) for _, expr in EXPRESSIONS for n in names_in(expr)}
    unseen = {n for n in ROWS if not n.startswith("llamaswap_")} - shown
    assert unseen == {"wharf_connections_accepted_total", "wharf_events_published_total", "wharf_events_gaps_total",
                      "wharf_limit_used", "wharf_limit_max", "process_virtual_memory_bytes"}


def test_panels_do_not_overlap():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    assert len({p["id"] for p in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@needs_promtool
def test_the_rules_are_sound():
    status, said = promtool("check", "rules", GRAFANA / "alerts.yaml")
    assert status == 0 and f"{len(rules())} rules found" in said, said
    status, said = promtool("test", "rules", ROOT / "tests/e2e/alerts_test.yaml")
    assert status == 0, said


@pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")
def test_a_real_prometheus(wharf, tmp_path):
    """It scrapes a real daemon, and understands every expression of the dashboard and the alerts."""
    key = {"Authorization": "Bearer look"}
    d = wharf({"models": {"a": demo("a", vram="5GiB"), "b": demo("b", vram="5GiB"),
                          "broken": demo("broken", "--crash-on-load", loadRetries=0)},
               **TIGHT, "gates": {"g": {"limit": 1}},
               "keys": [{"name": "prometheus", "key": "look", "readOnly": True}, {"name": "all", "key": "all"}]})
    use = {"Authorization": "Bearer all"}
    for name in ("a", "b", "a"):
        d.ok(d.chat(name, headers=use))
    assert d.chat("broken", headers=use).status == 502
    lease = Lease(d, gates=["g"], headers=use)
    lease.until("granted")
    with Prometheus(tmp_path, ["%s:%d" % d.address], [GRAFANA / "alerts.yaml"], key="look") as p:
        p.until('up{job="wharf"} == 1')
        p.until('sum(rate(wharf_http_responses_total{job="wharf"}[1m])) > 0')
        assert float(p.query("sum(wharf_requests_total)")[0]["value"][1]) == read(d, key).value("wharf_requests_total")
        kinds = {name: rows[0]["type"] for name, rows in p.ask("metadata").items()}
        assert {n: k for n, k in kinds.items() if n in ROWS} == {n: ROWS[n][0] for n in kinds if n in ROWS}
        assert {n for n in kinds if n.startswith("wharf_")} <= set(ROWS)
        empty = set()
        for title, expr in EXPRESSIONS:
            found = p.query(expr)
            assert isinstance(found, list), f"{title}: {expr}: {found}"
            empty |= set() if found else {title}
        assert {"Answers", "Requests by outcome", "Whose the memory is", "Evictions by reason", "Gates: inside",
                "Lag of the loop", "Memory", "instance", "model", "Wait in the queue"}.isdisjoint(empty), empty
        groups = p.until("ALERTS or vector(1)") and p.ask("rules")["groups"]
        assert {r["health"] for g in groups for r in g["rules"]} <= {"ok", "unknown"}, groups
    lease.close()

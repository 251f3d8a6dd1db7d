"""wharf's own history: what is kept of requests, swaps, leases, decisions and devices, how it is asked for, and
that it is there after the daemon was another one."""

import contextlib
import csv
import datetime
import io
import json
import os
import re
import sqlite3
import stat
import time

import pytest

from leases import Lease, gpu
from upgrades import until_drained, upgrade
from wharf_harness import chat_body, demo, until

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
KEYS = {"keys": [{"name": "alice", "key": "alices-secret"}, {"name": "eve", "key": "eves-secret", "readOnly": True}]}


def two(**keys):
    return {"gpus": [gpu("g0")], "models": {"a": demo("a", vram="10GiB"), "b": demo("b", vram="10GiB")}, **keys}


def history(d, table="requests", query="", headers=None):
    return d.ok(d.get(f"/wharf/history/{table}{query}", headers)).json()


def rows(d, table="requests", query="", headers=None):
    """Oldest first."""
    return history(d, table, query, headers)[table][::-1]


def database(d):
    return d.state / "history.db"


@pytest.mark.slice
def test_requests_and_swaps(wharf):
    d = wharf(two(**KEYS))
    alice = {"Authorization": "Bearer alices-secret"}
    for model in "aba":
        d.ok(d.chat(model, headers={**alice, "X-Wharf-Class": "foreground"}))
    assert d.post("/v1/chat/completions", {"model": "none"}, alice).status == 404
    kept = rows(d, headers=alice)
    assert [(r["model"], r["status"]) for r in kept] == [("a", 200), ("b", 200), ("a", 200), (None, 404)], kept
    first = kept[0]
    assert list(first) == ["id", "arrived", "model", "class", "path", "status", "ended", "key", "trace", "waited_ms",
                           "load_ms", "first_byte_ms", "total_ms", "input_tokens", "output_tokens",
                           "cached_tokens", "bytes"]
    assert (first["class"], first["path"], first["status"], first["ended"], first["key"], first["trace"]) == (
        "foreground", "/v1/chat/completions", 200, "done", "alice", None)
    assert TIME.match(first["arrived"]) and 0 < first["load_ms"] <= first["waited_ms"] <= first["first_byte_ms"]
    assert first["first_byte_ms"] <= first["total_ms"] and first["bytes"] > 0
    assert first["input_tokens"] > 0 and first["output_tokens"] > 0
    swaps = rows(d, "swaps", headers=alice)
    assert [(s["kind"], s["model"], s["for_model"], s["ok"]) for s in swaps] == [
        ("load", "a", None, True), ("unload", "a", "b", True), ("load", "b", None, True),
        ("unload", "b", "a", True), ("load", "a", None, True)], swaps
    assert swaps[0]["reason"] == "a request wants it" and swaps[1]["reason"] == "evicted to make room"
    assert swaps[2]["evicted"] == ["a"] and swaps[0]["evicted"] is None
    assert all(s["devices"] == ["g0"] and s["bytes"] == 10 << 30 and s["seconds"] >= 0 for s in swaps), swaps
    # Never the secret.
    d.stop()
    assert b"secret" not in database(d).read_bytes()
    assert stat.S_IMODE(database(d).stat().st_mode) == 0o600


def test_pages_and_ranges(wharf):
    d = wharf({"models": {"a": demo("a"), "b": demo("b")}})
    for i in range(7):
        d.ok(d.chat("ab"[i % 2]))
    everything = [r["id"] for r in rows(d)]
    assert len(everything) == 7 and everything == sorted(everything)
    for order in ("asc", "desc"):
        got, after = [], ""
        while after is not None:
            page = history(d, query=f"?limit=3&order={order}" + (f"&after={after}" if after else ""))
            assert len(page["requests"]) <= 3
            got += [r["id"] for r in page["requests"]]
            after = page["next"]
        assert got == (everything if order == "asc" else everything[::-1])
    assert {r["model"] for r in rows(d, query="?model=b")} == {"b"}
    assert rows(d, query="?model=nobody") == []
    middle = rows(d)[3]["arrived"]
    late = rows(d, query=f"?start={middle}")
    early = rows(d, query=f"?end={middle}")
    assert late[0]["arrived"] == early[-1]["arrived"] == middle
    assert sorted({r["id"] for r in late + early}) == everything
    assert rows(d, query=f"?start={int(time.time()) + 3600}") == []
    assert len(rows(d, query=f"?start={time.time() - 3600:.3f}")) == 7
    text = d.ok(d.get("/wharf/history/requests?format=csv&limit=2&order=asc"))
    table = list(csv.DictReader(io.StringIO(text.text)))
    assert text.header("content-type").startswith("text/csv") and [int(r["id"]) for r in table] == everything[:2]
    assert text.header("x-wharf-next") == history(d, query="?limit=2&order=asc")["next"]
    for bad in ("limit=0", "limit=1001", "limit=x", "order=up", "after=x", "start=yesterday", "end=1.2.3",
                "start=20&end=10", "format=xml"):
        assert d.get(f"/wharf/history/requests?{bad}").error["code"] == "invalid_request", bad
    assert d.get("/wharf/history/nothing").status == 404


def test_another_daemon_has_it(wharf):
    d = wharf(two())
    d.ok(d.chat("a"))
    d.stop()
    d.start()
    d.ok(d.chat("b"))
    assert [r["model"] for r in rows(d)] == ["a", "b"]
    assert [(s["kind"], s["model"]) for s in rows(d, "swaps")] == [
        ("load", "a"), ("unload", "a"), ("load", "b")]
    # Also one that was killed, as far as it had come: what was asked about is written.
    d.kill()
    d.start()
    assert [r["model"] for r in rows(d)] == ["a", "b"]


def test_the_command(wharf):
    d = wharf(two())
    assert d.cli("history", check=0).stdout == "there are no requests\n"
    empty = d.cli("history", "--csv", check=0).stdout.splitlines()
    for model in "ab":
        d.ok(d.chat(model))
    lines = [json.loads(line) for line in d.cli("history", "--json", check=0).stdout.splitlines()]
    assert lines == rows(d)
    assert [json.loads(x) for x in d.cli("history", "--json", "-n", "1", check=0).stdout.splitlines()] == rows(d)[1:]
    swaps = [json.loads(x) for x in d.cli("history", "swaps", "-m", "a", "--json", check=0).stdout.splitlines()]
    assert [(s["kind"], s["model"]) for s in swaps] == [("load", "a"), ("unload", "a")]
    text = d.cli("history", "--since", "1h", check=0).stdout.splitlines()
    assert text[0].split()[:3] == ["ARRIVED", "MODEL", "STATUS"] and len(text) == 3
    assert d.cli("history", "--until", "1h", check=0).stdout == "there are no requests\n"
    table = list(csv.reader(io.StringIO(d.cli("history", "--csv", check=0).stdout)))
    assert [",".join(table[0])] == empty and [row[2] for row in table[1:]] == ["a", "b"]
    served = d.ok(d.get("/wharf/history/requests?format=csv&order=asc")).text
    assert table == list(csv.reader(io.StringIO(served)))
    assert "none of requests, swaps" in d.cli("history", "no", check=2).stderr
    assert "start must be a time" in d.cli("history", "--since", "soon", check=2).stderr
    assert "two different answers" in d.cli("history", "--csv", "--json", check=2).stdout


def test_leases(wharf):
    d = wharf(two())
    held = Lease(d, vram="6GiB", name="train")
    held.until("granted")
    waits = Lease(d, vram="8GiB", name="late", wait="60s")
    until(lambda: waits.state == "waiting", "the second to wait")
    waits.close()
    until(lambda: len(rows(d, "leases")) == 1, "the end of the one that waited")
    held.close()
    until(lambda: len(rows(d, "leases")) == 2, "the end of the one that was held")
    got = {r["name"]: r for r in rows(d, "leases")}
    assert list(got["late"]) == ["id", "asked", "granted", "ended", "lease", "name", "class", "bytes", "devices", "how"]
    assert (got["late"]["granted"], got["late"]["devices"], got["late"]["bytes"]) == (None, [], 8 << 30)
    train = got["train"]
    assert (train["bytes"], train["devices"], train["class"]) == (6 << 30, ["g0"], "background")
    assert train["how"] == got["late"]["how"] == "its connection has ended" and train["lease"] == held.id
    assert train["asked"] <= train["granted"] <= train["ended"]
    assert [r["name"] for r in rows(d, "leases", "?name=late")] == ["late"]
    text = d.cli("history", "leases", check=0).stdout.splitlines()
    assert text[0].split()[:2] == ["ASKED", "NAME"] and "train" in text[1] + text[2]


def test_decisions(wharf):
    d = wharf(two())
    for model in "ab":
        d.ok(d.chat(model))
    live = d.ok(d.get("/wharf/decisions")).json()["decisions"]
    kept = rows(d, "decisions")
    assert [(k["type"], k["model"], k["for_model"], k["reason"], k["devices"]) for k in kept] == [
        (x["type"], x["model"], x["for_model"], x["reason"], x["devices"]) for x in live]
    evict = next(k for k in kept if k["type"] == "evict")
    assert [c["model"] for c in evict["candidates"]] == ["a"] and evict["candidates"][0]["reload_s"] is not None
    assert evict["candidates"] == next(x for x in live if x["type"] == "evict")["candidates"]
    assert "evict" in d.cli("history", "decisions", check=0).stdout
    d.stop()
    d.start()
    assert rows(d, "decisions")[:len(kept)] == kept


def test_samples(wharf):
    d = wharf(two())
    d.ok(d.chat("a"))
    until(lambda: any(s["own_bytes"] and s["own_bytes"]["mean"] == 10 << 30
                      for s in rows(d, "samples", "?device=g0")), "a sample with the model in it")
    last = rows(d, "samples", "?device=g0")[-1]
    assert (last["span_s"], last["samples"]) == (1, 1) and TIME.match(last["at"])
    assert last["total_bytes"] == {"min": 12 << 30, "mean": 12 << 30, "max": 12 << 30}
    daemon = next(s for s in rows(d, "samples") if s["device"] is None)
    assert daemon["waiting"] == {"min": 0, "mean": 0, "max": 0} and daemon["used_bytes"] is None
    table = list(csv.DictReader(io.StringIO(d.cli("history", "samples", "--csv", check=0).stdout)))
    assert {"used_bytes_min", "used_bytes_mean", "power_w_max"} <= set(table[0]) and len(table) > 1
    assert "g0" in d.cli("history", "samples", check=0).stdout


def timeline(d):
    return d.ok(d.get("/wharf/timeline")).json()


def test_the_timeline_goes_on(wharf):
    d = wharf(two())
    d.ok(d.chat("a"))
    until(lambda: rows(d, "samples", "?device=g0"), "a sample")
    before = timeline(d)
    d.stop()
    d.start()
    until(lambda: timeline(d)["changes"], "what the archive has")
    after = timeline(d)
    assert after["devices"] == before["devices"]
    kept = [(c["model"], c["state"], c["devices"], c["bytes"]) for c in after["changes"]]
    assert kept[:2] == [(c["model"], c["state"], c["devices"], c["bytes"]) for c in before["changes"]][:2]
    assert [c[1] for c in kept] == ["loading", "loaded", "unloading", "unloaded"]
    at = [c["time_ms"] for c in after["changes"]]
    assert at == sorted(at) and abs(at[1] - before["changes"][1]["time_ms"]) < 1000
    until(lambda: any(s["time_ms"] < before["now_ms"] + 500 for s in timeline(d)["samples"]), "samples of before")


def test_models_that_are_gone_with_a_killed_daemon(wharf):
    d = wharf(two())
    d.ok(d.chat("a"))
    until(lambda: rows(d, "samples", "?device=g0"), "a sample")
    assert [s["kind"] for s in rows(d, "swaps")] == ["load"]
    engine = d.engines("a")[0]
    d.kill()
    os.kill(engine, 9)
    d.start()
    until(lambda: len(rows(d, "swaps")) == 2, "the unload that nobody saw")
    gone = rows(d, "swaps")[1]
    assert (gone["kind"], gone["model"], gone["reason"]) == ("unload", "a", "it was gone when wharf was there again")
    assert gone["seconds"] is None and gone["devices"] == ["g0"]
    until(lambda: [c["state"] for c in timeline(d)["changes"]][-1] == "unloaded", "the timeline to know")


def test_models_that_were_gone_long_before(wharf):
    """A daemon that comes hours later says until when the earlier one was there."""
    d = wharf(two())
    d.ok(d.chat("a"))
    until(lambda: rows(d, "samples", "?device=g0"), "a sample")
    engine = d.engines("a")[0]
    d.kill()
    os.kill(engine, 9)
    with contextlib.closing(sqlite3.connect(database(d))) as db, db:
        db.execute("update swaps set at = at - 36000000")
        db.execute("update samples set at = at - 7200000")
        [(seen,)] = db.execute("select max(at) from samples")
    d.start()
    until(lambda: len(rows(d, "swaps")) == 2, "the unload that nobody saw")
    at = datetime.datetime.fromisoformat(rows(d, "swaps")[1]["at"].replace("Z", "+00:00")).timestamp() * 1000
    assert abs(at - seen) < 1500


def test_a_history_is_nobodys_after_a_question(wharf):
    """Others may write to it, and its log stays short, also after a start that has asked it for what was."""
    d = wharf(two())
    for _ in range(2):
        d.ok(d.chat("a"))
        until(lambda: rows(d, "samples", "?device=g0"), "a sample")
        d.stop()
        d.start()
    with contextlib.closing(sqlite3.connect(database(d), timeout=10)) as db, db:
        db.execute("delete from samples where id = (select max(id) from samples)")
    d.ok(d.chat("b"))
    assert [r["model"] for r in rows(d)] == ["a", "a", "b"]
    assert "locked" not in d.stderr and not d.get("/wharf/status").json()["degradations"]


def test_csv_for_a_spreadsheet(wharf):
    """A name is a text there, whatever it begins with."""
    d = wharf(two())
    lease = Lease(d, name="=1+1", vram="1GiB")
    lease.until("granted")
    lease.close()
    until(lambda: rows(d, "leases"), "the lease's end")
    for text in (d.get("/wharf/history/leases?format=csv").text, d.cli("history", "leases", "--csv", check=0).stdout):
        (row,) = csv.DictReader(io.StringIO(text))
        assert row["name"] == "'=1+1"
    headings = d.cli("history", "leases", "--csv", "--limit", "0", check=0).stdout
    assert headings.startswith("id,") and len(headings.splitlines()) == 1


def test_csv_that_is_refused(wharf):
    d = wharf({**two(), **KEYS})
    refused = d.cli("history", "--csv", "--limit", "0", key="nobodys")
    assert refused.returncode != 0 and refused.stdout == "" and "key" in refused.stderr


def test_requests_over_an_upgrade(wharf):
    """One that began under one program ends under it, after the next has taken its place."""
    d = wharf({"models": {"m": demo("m", "--token-delay", "20ms", "--tokens", "100")}})
    d.ok(d.chat("m", max_tokens=1))
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m", stream=True), {"X-Wharf-Class": "background"})
    events = c.sse(c.head())
    next(events)
    upgrade(d)
    for _ in events:
        pass
    c.close()
    until_drained(d)
    until(lambda: len(rows(d)) == 2, "the row of the drainer")
    late = rows(d)[1]
    assert (late["model"], late["class"], late["status"], late["ended"]) == ("m", "background", 200, "done")
    assert late["output_tokens"] > 1 and late["total_ms"] > late["first_byte_ms"]


def test_it_is_switched_off_and_on(wharf):
    off = two(history={"enabled": False})
    d = wharf(off)
    d.ok(d.chat("a"))
    refused = d.get("/wharf/history/requests")
    assert refused.status == 501 and "history.enabled is false" in refused.message
    assert "history.enabled is false" in d.cli("history", check=1).stderr
    assert not database(d).exists()
    d.reload(two())
    d.ok(d.chat("a"))
    assert len(rows(d)) == 1
    d.reload(off)
    assert d.get("/wharf/history/requests").status == 501
    d.reload(two())
    assert len(rows(d)) == 1


def test_a_damaged_file_is_put_aside(wharf):
    d = wharf(two())
    d.ok(d.chat("a"))
    d.stop()
    database(d).write_bytes(b"no database " * 4096)
    d.start()
    d.ok(d.chat("b"))
    assert [r["model"] for r in rows(d)] == ["b"]
    assert "history.db.aside, and a new one is begun: it is damaged" in d.stderr
    assert (d.state / "history.db.aside").read_bytes().startswith(b"no database ")


def test_a_locked_file_is_waited_for(wharf):
    d = wharf(two())
    d.ok(d.chat("a"))
    assert len(rows(d)) == 1
    other = sqlite3.connect(database(d), isolation_level=None)
    other.execute("begin immediate")
    d.ok(d.chat("b"))
    until(lambda: "history.db is locked by somebody else" in d.stderr, "it to be said")
    other.execute("commit")
    other.close()
    until(lambda: len(rows(d)) == 2, "what waited")

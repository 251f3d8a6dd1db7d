"""`wharf report`: what it reads, what it adds up, whom it names, and that names are text wherever they stand."""

import datetime
import json
import os
import pty
import random
import re
import resource
import subprocess
import threading
import xml.dom.minidom
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import pytest

import report_slowly
import weeks
from leases import Lease, gpu
from wharf_harness import ROOT, SECONDS, WHARF, WRAP, Later, demo, free_port, until

# WHARF_REPORT_WEEKS: random weeks besides the five.
LONG = int(os.environ.get("WHARF_REPORT_WEEKS", "0"))
START = datetime.datetime(2024, 5, 6, tzinfo=datetime.timezone.utc)


def report(*words, status=0, **environment):
    env = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", **environment}
    done = subprocess.run([*WRAP, WHARF, "report", *map(str, words)], capture_output=True, text=True,
                          timeout=20 * SECONDS, stdin=subprocess.DEVNULL, env=env)
    assert done.returncode == status, done
    return done


def told(*words, **environment):
    return json.loads(report(*words, "--json", **environment).stdout)


def at(seconds):
    return (START + datetime.timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def request(seconds, model, waited=0.0, key=None, total=None, **more):
    """Members as the history has them."""
    return {"id": 1, "arrived": at(seconds), "model": model, "class": "normal", "path": "/v1/completions",
            "status": 200, "ended": "done", "key": key, "trace": None, "waited_ms": round(waited * 1000),
            "load_ms": 0, "first_byte_ms": None, "total_ms": round((total or waited + 1) * 1000),
            "input_tokens": None, "output_tokens": None, "cached_tokens": None, **more}


def swap(seconds, kind, model, took=0.0, size=1 << 30, **more):
    return {"id": 1, "at": at(seconds), "kind": kind, "model": model, "devices": ["gpu"], "seconds": took,
            "bytes": size, "reason": "", "ok": True, **more}


def lease(asked, granted, ended, name, size=1 << 30, how="released", id_="x"):
    times = {k: None if v is None else at(v) for k, v in (("asked", asked), ("granted", granted), ("ended", ended))}
    return {"id": id_, **times, "name": name, "class": "normal", "bytes": size, "devices": ["gpu"], "how": how}


def files(folder, requests, swaps, leases=()):
    words = []
    for kind, rows in (("requests", requests), ("swaps", swaps), ("leases", leases)):
        path = folder / (kind + ".jsonl")
        path.write_text("".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in rows))
        words += ["--" + kind, path]
    return words


# ------------------------------------------------------------------------------ figures


# a is put out for b at 100 s, comes back at 200 s within 10 s, and somebody waits for it from 190 s on.
STORY = ([request(0, "a", 5, "anna"), request(100, "b", 20, "ben"), request(190, "a", 20, "anna"),
          request(195, "a", 15, "ben"), request(300, "a", 0, "anna")],
         [swap(0, "load", "a", 5), swap(100, "unload", "a", 2, for_model="b"), swap(102, "load", "b", 18),
          swap(200, "unload", "b", 0, for_model="a"), swap(200, "load", "a", 10)])


@pytest.mark.slice
@pytest.mark.valgrind
def test_a_story_by_hand(tmp_path):
    r = told(*files(tmp_path, *STORY, [lease(400, 400, 7600, "job", 2 << 30), lease(500, None, None, "other"),
                                       lease(600, 600, 601, "job", 1 << 30, "revoked")]))
    models = {m["model"]: m for m in r["models"]}
    # Two waited for a, from 190 and 195 s until 210 s, and b was the reason; nobody waited for b.
    assert (models["b"]["cost_s"], models["a"]["cost_s"]) == (35, 0)
    assert (models["a"]["loads"], models["a"]["load_s"], models["a"]["put_out"]) == (2, 15, 1)
    assert (models["a"]["thrash"], models["a"]["thrash_s"], models["b"]["thrash"]) == (1, 10, 0)
    assert (r["requests"], r["waited_s"], r["loads"], r["load_s"]) == (5, 60, 3, 33)
    assert [(p["who"], p["whom"], p["times"], p["reload_s"], p["waited_s"]) for p in r["pairs"]] == [
        ("b", "a", 1, 10, 35), ("a", "b", 1, 0, 0)]
    # It was ben's request that made a leave: only anna's waiting is what it cost others.
    assert {c["client"]: c["cost_s"] for c in r["clients"]} == {"ben": 20, "anna": 0}
    assert (models["a"]["there_s"], models["b"]["there_s"]) == (95 + 7600 - 210, 80)
    leases = {x["lease"]: x for x in r["leases"]}
    assert leases["job"]["held_s"] == 7201 and leases["job"]["byte_hours"] == pytest.approx((2 << 30) * 2 + (1 << 30) / 3600, abs=1)
    assert (leases["job"]["revoked"], leases["other"]["granted"], leases["other"]["asked"]) == (1, 0, 1)
    assert [(h["requests"], h["loads"], h["waited_s"]) for h in r["hours"]] == [(5, 3, 60), (0, 0, 0), (0, 0, 0)]
    normal = {c["class"]: c for c in r["classes"]}["normal"]
    assert (normal["wait_p50_s"], normal["wait_p95_s"], normal["wait_max_s"], normal["served"]) == (15, 20, 20, 5)


@pytest.mark.slice
def test_leases_that_hold_the_room_answer_for_it(tmp_path):
    # b needs what a had, 1 GiB; train holds 3 and eval 1 of the same device, and elsewhere is elsewhere.
    held = [lease(0, 0, 900, "train", 3 << 30), lease(0, 0, 900, "eval"), {**lease(0, 0, 900, "far"), "devices": ["other"]}]
    costs = {x["lease"]: x["cost_s"] for x in told(*files(tmp_path, *STORY, held))["leases"]}
    assert costs == {"train": 26.25, "eval": 8.75, "far": 0}
    # Not while they were too small, nor once they were over; and who leaves for a lease, leaves for it.
    assert [x["cost_s"] for x in told(*files(tmp_path, *STORY, [lease(0, 0, 900, "small", 1 << 29)]))["leases"]] == [0]
    assert [x["cost_s"] for x in told(*files(tmp_path, *STORY, [lease(0, 0, 50, "train")]))["leases"]] == [0]
    for_lease = [dict(s) for s in STORY[1]]
    for_lease[1] = swap(100, "unload", "a", 2, for_lease="train")
    r = told(*files(tmp_path, STORY[0], for_lease, []))
    assert [(x["lease"], x["cost_s"]) for x in r["leases"]] == [("train", 35)]
    with_id = told(*files(tmp_path, STORY[0], [{**s, "for_lease": "x"} if "for_lease" in s else s for s in for_lease],
                          [lease(100, 100, 150, "train")]))
    assert [(x["lease"], x["cost_s"], x["granted"]) for x in with_id["leases"]] == [("train", 35, 1)]
    assert r["pairs"][0] == {"lease": "train", "whom": "a", "times": 1, "reload_s": 10, "waited_s": 35}


def test_who_left_by_himself_is_nobodys_fault(tmp_path):
    swaps = [dict(s) for s in STORY[1]]
    del swaps[1]["for_model"]
    r = told(*files(tmp_path, STORY[0], swaps))
    assert {m["model"]: m["cost_s"] for m in r["models"]} == {"a": 0, "b": 0} and r["worst"]["name"] is None
    assert "Nobody had to wait" in report(*files(tmp_path, STORY[0], swaps)).stdout


def random_record(rng):
    """Anything that the members allow, sense or not."""
    models, keys, names = ["m%d" % i for i in range(rng.randint(1, 5))], [None, "k1", "k2", "k3"], ["train", "eval"]
    requests = [request(round(rng.uniform(0, 4000), 3), rng.choice(models),
                        round(rng.choice([0, 0, rng.uniform(0, 300)]), 3), rng.choice(keys))
                for _ in range(rng.randint(0, 80))]
    for r in requests:
        r["class"] = rng.choice(["foreground", "normal", "background"])
        if rng.random() < 0.1:
            r["waited_ms"] = r["total_ms"] = None
    swaps = []
    for _ in range(rng.randint(0, 60)):
        s = swap(round(rng.uniform(0, 4000), 3), rng.choice(["load", "load", "unload", "unload", "suspend", "resume", "move"]),
                 rng.choice(models), rng.choice([None, round(rng.uniform(0, 60), 3)]),
                 rng.choice([None, rng.randint(1, 1 << 34)]))
        s["ok"] = rng.random() < 0.9
        s["devices"] = rng.sample(["gpu", "gpu2"], rng.randint(0, 2))
        if s["kind"] in ("unload", "suspend"):
            s.update(rng.choice([{}, {"for_lease": rng.choice(names)}, {"for_model": rng.choice(models)},
                                 {"for_model": rng.choice(models)}]))
        swaps.append(s)
    leases = []
    for _ in range(rng.randint(0, 5)):
        a, b, c = sorted(round(rng.uniform(0, 4000), 3) for _ in range(3))
        leases.append(lease(a, rng.choice([None, b, b]), rng.choice([None, c, c]), rng.choice(names), rng.randint(1, 1 << 34)))
    return requests, swaps, leases


@pytest.mark.parametrize("seed", range(12))
def test_sums_are_those_of_the_slow_way(tmp_path, seed):
    rng = random.Random(seed)
    for _ in range(4):
        requests, swaps, leases = random_record(rng)
        begin, end = sorted(rng.sample(range(0, 4200), 2))
        r = told(*files(tmp_path, requests, swaps, leases), "--since", at(begin), "--until", at(end))
        zero = report_slowly.ms(at(0))
        models, clients, costs, pairs, waits = report_slowly.report(
            requests, swaps, leases, zero + begin * 1000, zero + end * 1000)
        near = lambda x: pytest.approx(x, abs=0.01)
        found = {m["model"]: m for m in r["models"]}
        for name, m in models.items():
            if not any(m.values()):
                continue
            f = found[name]
            assert (f["requests"], f["loads"], f["put_out"], f["thrash"]) == (
                m["requests"], m["loads"], m["put_out"], m["thrash"]), (seed, name)
            assert (f["waited_s"], f["load_s"], f["cost_s"]) == (near(m["waited"]), near(m["loading"]), near(m["cost"]))
        assert sum(m["cost_s"] for m in r["models"]) == near(sum(m["cost"] for m in models.values()))
        for c in r["clients"]:
            assert (c["requests"], c["waited_s"], c["cost_s"]) == (
                clients[c["client"]]["requests"], near(clients[c["client"]]["waited"]), near(clients[c["client"]]["cost"]))
        assert sum(c["requests"] for c in r["clients"]) == sum(c["requests"] for k, c in clients.items() if k)
        for x in r["leases"]:
            assert (x["held_s"], x["cost_s"]) == (near(costs[x["lease"]]["held"]), near(costs[x["lease"]]["cost"]))
            assert x["byte_hours"] == pytest.approx(costs[x["lease"]]["byte_hours"], rel=1e-6, abs=1)
        assert len(r["pairs"]) == len(pairs)
        for p in r["pairs"]:
            want = pairs["lease" if "lease" in p else "model", p.get("lease") or p["who"], p["whom"]]
            assert (p["times"], p["reload_s"], p["waited_s"]) == (want["times"], near(want["reload"]), near(want["waited"]))
        for c in r["classes"]:
            w = waits[c["class"]]
            assert c["served"] == len(w)
            assert (c["wait_p50_s"], c["wait_p95_s"], c["wait_max_s"]) == (
                near(report_slowly.percentile(w, 0.5)), near(report_slowly.percentile(w, 0.95)), near(max(w, default=0)))


def test_one_that_is_away_already_does_not_leave(tmp_path):
    """It is unloaded where it sleeps, or again and again: who put it out is charged until it is back."""
    swaps = [swap(3600, "suspend", "a", for_model="b"), swap(3600, "load", "b", 5), swap(32400, "unload", "a"),
             swap(33000, "unload", "a"), swap(34200, "load", "a", 60, ok=False), swap(34260, "load", "a", 10)]
    requests = [request(0, "a"), request(3600, "b", 5), request(34200, "a", 70), request(36000, "b")]
    r = told(*files(tmp_path, requests, swaps), "--no-policies")
    models = {m["model"]: m for m in r["models"]}
    assert models["b"]["cost_s"] == 70 and models["a"]["put_out"] == 1
    assert models["a"]["there_s"] == 3600 + (36000 - 34270)
    assert models["a"]["loads"] == 1 and models["a"]["failed_loads"] == 1 and models["a"]["load_s"] == 10


def hours(folder, zone, *words):
    return json.loads(report(*files(folder, *DAYS), *words, "--json", "--no-policies", TZ=zone).stdout)["hours"]


# From 26 October, 22:30 UTC on, a request every 20 minutes for 27 hours: summer ends in Berlin.
LATE = round((datetime.datetime(2024, 10, 26, 22, 30, tzinfo=datetime.timezone.utc) - START).total_seconds())
DAYS = ([request(LATE + 1200 * i, "a") for i in range(27 * 3)], [swap(LATE, "load", "a", 1)])


def test_hours_are_those_of_the_wall(tmp_path):
    found = hours(tmp_path, "Europe/Berlin", "--day", "2024-10-27")
    assert [h["requests"] for h in found] == [2, 3, 6] + [3] * 21
    assert found[3]["from"].startswith("2024-10-27T02:00")
    spring = hours(tmp_path, "Asia/Kolkata", "--day", "2024-10-27")
    assert len(spring) == 24 and spring[0]["from"].startswith("2024-10-26T18:30")
    assert [h["requests"] for h in spring] == [0] * 4 + [3] * 20
    text = report(*files(tmp_path, [{**r, "waited_ms": 1000} for r in DAYS[0]], DAYS[1]), "--day", "2024-10-27",
                  TZ="Europe/Berlin").stdout
    (row,) = re.findall(r"^2024-10-27  (.*)$", text, re.M)
    assert len(row) == 24, row


def test_days_that_are_none(tmp_path):
    words = files(tmp_path, *STORY)
    assert "is no day" in report(*words, "--day", "2024-02-31", status=2).stderr
    assert "is no day" in report(*words, "--day", "2023-02-29", status=2).stderr
    assert "before all that is in the files" in report(*words, "--until", "2020-01-01", status=2).stderr


# ------------------------------------------------------------------------------ the worst offender


def judged(seed, offence, folder):
    """The week, and the report's judgement of it."""
    w = weeks.week(seed, offence)
    return w, told(*weeks.simulate(w, folder, seed), "--no-policies")["worst"]


def named_rightly(seed, offence, folder):
    w, worst = judged(seed, offence, folder)
    assert worst["stands_out"] and (worst["kind"], worst["name"]) == (w.kind, w.name), (seed, worst)
    assert worst["advice"] and worst["share"] >= 1 / 3
    return w, worst


@pytest.mark.parametrize("seed", range(5))
def test_the_planted_offender_is_named(tmp_path, seed):
    offence = weeks.OFFENCES[seed]
    w, worst = named_rightly(seed, offence, tmp_path / "week")
    # It is an offender: without it, others would have waited much less, by about what it is charged with.
    weeks.simulate(w, tmp_path / "without", seed, offended=False)
    harm = weeks.waited_by_others(w, tmp_path / "week") - weeks.waited_by_others(w, tmp_path / "without")
    assert harm > 0.5 * weeks.waited_by_others(w, tmp_path / "without")
    assert 0.5 < worst["cost_s"] / harm < 1.6, (worst["cost_s"], harm)
    words = weeks.simulate(w, tmp_path / "week", seed)
    assert f"The worst offender is the {w.kind} {w.name}" in report(*words, "--no-policies").stdout


@pytest.mark.parametrize("seed", range(5))
def test_a_week_without_an_offender_accuses_nobody(tmp_path, seed):
    _, worst = judged(seed, None, tmp_path)
    assert not worst["stands_out"] and worst["advice"] is None, (seed, worst)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not LONG, reason="WHARF_REPORT_WEEKS")
def test_many_weeks(tmp_path):
    base = random.SystemRandom().randrange(1 << 31)
    for seed in range(base, base + LONG):
        named_rightly(seed, weeks.OFFENCES[seed % len(weeks.OFFENCES)], tmp_path / "week")
        _, worst = judged(seed, None, tmp_path / "clean")
        assert not worst["stands_out"], (seed, worst)


# ------------------------------------------------------------------------------ policies


def test_policies_are_compared_alike(tmp_path):
    w = weeks.week(3)
    w = w._replace(ordinary=[g.replace("for=7d", "for=1d") for g in w.ordinary])
    words = weeks.simulate(w, tmp_path, 3)
    r = told(*words, "--config", tmp_path / "wharf.yaml")
    # The record was made by the simulator, so that simulating it gives the record; what is told is
    # from the beginning of the files on.
    assert r["policies"]["own"] == "fair+fit"
    assert r["policies"]["own_waited_s"] == pytest.approx(r["waited_s"], rel=0.02)
    text = report(*words, "--config", tmp_path / "wharf.yaml").stdout
    assert "(recorded)" in text and "fair+fit *" in text and "No other policy would have been better" in text
    # The same requests, had the configuration asked for one model at a time.
    serial = tmp_path / "serial.yaml"
    serial.write_text("routing: {scheduler: {use: fifo}, router: {use: group}}\n" + w.config)
    r = told(*words, "--config", serial)
    assert r["policies"]["own"] == "fifo+group" and r["policies"]["best"] in ("fifo+fit", "fair+fit")
    assert r["policies"]["own_waited_s"] > 3 * r["policies"]["best_waited_s"]
    assert re.match(r"(fifo|fair)\+fit would have saved .* of waiting", r["policies"]["told"])


def test_why_policies_are_not_compared(tmp_path):
    words = files(tmp_path, *STORY)
    assert "--config FILE" in report(*words).stdout and "--config" not in report(*words, "--no-policies").stdout
    config = tmp_path / "wharf.yaml"
    config.write_text("models: {z: {cmd: 'engine ${PORT}'}}\n")
    assert "None of the requests is for a model of the configuration" in report(*words, "--config", config).stdout
    config.write_text("routing: {router: {use: fit}}\nmodels: {a: {cmd: 'x ${PORT}', vram: 1GiB}}\n")
    assert "give --gpus" in report(*words, "--config", config).stdout
    assert told(*words, "--config", config, "--gpus", "24GiB")["policies"]["own"] == "fair+fit"
    assert "no such" in report(*words, "--config", tmp_path / "none", status=2).stderr.lower()


# ------------------------------------------------------------------------------ reading


@pytest.mark.slice
def test_damaged_lines_are_counted_and_said(tmp_path):
    bad = ["not json\n", "[1]\n", '{"arrived":"yesterday","model":"a"}\n', '{"arrived":"%s"}\n' % at(1),
           json.dumps({**request(1, "a"), "waited_ms": -1}) + "\n", json.dumps({**request(1, "a"), "class": "vip"}) + "\n",
           json.dumps({**request(1, "a"), "total_ms": "long"}) + "\n", '{"arrived": "%s", "mod' % at(2)]
    rest = {**request(3, "a"), "another": {"member": [1]}}
    for name in ("key", "waited_ms", "load_ms", "total_ms", "class", "path", "trace"):
        del rest[name]
    words = files(tmp_path, [request(0, "a"), "\n", rest, *bad], [*STORY[1], '{"kind":"explode"}\n'])
    r = told(*words)
    assert r["damaged"] == {"requests": 8, "swaps": 1, "leases": 0} and r["requests"] == 2
    assert "8 damaged lines of requests were left out." in report(*words).stdout


@pytest.mark.parametrize("words,what", [
    (["--requests", "/dev/null"], "both --requests and --swaps"),
    (["--requests", "/no/such", "--swaps", "/dev/null"], "/no/such"),
    (["--requests", "/dev/null", "--swaps", "/dev/null", "--since", "soon"], "--since"),
    (["--requests", "/dev/null", "--swaps", "/dev/null", "--day", "2024-13-01"], "--day"),
    (["--week", "--day", "2024-01-01"], "give one of them"),
    (["--format", "pdf"], "none of text html svg json"),
])
def test_what_is_refused(words, what):
    assert what in report(*words, status=2).stderr


def test_windows(tmp_path):
    words = files(tmp_path, [request(h * 3600, "a") for h in range(100)], [])
    assert told(*words)["requests"] == 100
    assert told(*words, "--since", "10h")["requests"] == 10
    assert told(*words, "--since", "2d", "--until", at(50 * 3600))["requests"] == 48
    assert told(*words, "--day", "2024-05-07")["requests"] == 24
    assert told(*words, "--week")["requests"] == 100
    # A day is one of the place where one is.
    day = json.loads(report(*words, "--day", "2024-05-07", "--json", TZ="Etc/GMT-6").stdout)
    assert (day["from"], day["requests"]) == ("2024-05-06T18:00:00Z", 24)
    assert told(*files(tmp_path, [], []))["requests"] == 0
    assert "0 requests" in report(*files(tmp_path, [], [])).stdout


# ------------------------------------------------------------------------------ what is written


NASTY = "<script>alert(1)</script>&\"'\x1b[31m\x9b\u202e\ufffe\n</style>"


@pytest.mark.slice
@pytest.mark.parametrize("kind", ["html", "svg"])
def test_names_are_text(tmp_path, kind):
    rename = lambda rows: [{k: NASTY + v if k in ("model", "for_model", "key") and v else v for k, v in r.items()} for r in rows]
    words = files(tmp_path, rename(STORY[0] * 5), rename(STORY[1]), [lease(0, 0, 99, NASTY)])
    out = tmp_path / "out"
    report(*words, "--format", kind, "-o", out)
    text = out.read_text()
    assert text == report(*words, "--format", kind).stdout
    assert not re.search(r"<script|\x1b|\x9b|\u202e|\ufffe", text) and text.count("</style>") == 1
    page = xml.dom.minidom.parseString(text)  # strict: what is not escaped is no XML
    names = {n.tagName for n in page.getElementsByTagName("*")}
    assert names <= {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "table", "tr", "th",
                     "td", "bdi", "svg", "text", "rect", "path", "g"}
    attributes = {a for n in page.getElementsByTagName("*") for a in (n.attributes or {}).keys()}
    assert not attributes & {"href", "src", "style", "onload", "xlink:href"}, attributes
    assert "prefers-color-scheme:dark" in text and "url(" not in text and "@import" not in text
    assert "<script>alert" in "".join(t.data for e in page.getElementsByTagName("*") for t in e.childNodes
                                      if t.nodeType == t.TEXT_NODE and e.tagName != "style")
    plain = report(*words).stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", plain) and "<script>" in plain
    assert NASTY + "a" in {m["model"] for m in told(*words)["models"]}


def on_terminal(columns, *words):
    """What a terminal of that width is shown."""
    ours, its = pty.openpty()
    command = subprocess.Popen([*WRAP, WHARF, "report", *map(str, words)], stdout=its, stdin=subprocess.DEVNULL,
                               env={**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", "COLUMNS": str(columns)})
    os.close(its)
    shown = b""
    with open(ours, "rb", buffering=0) as file:
        try:
            while chunk := file.read(4096):
                shown += chunk
        except OSError:  # the other end is closed
            pass
    assert command.wait(SECONDS) == 0
    return shown.decode().splitlines()


def test_text_fits_the_terminal(tmp_path):
    words = files(tmp_path, [{**r, "model": r["model"] * 60} for r in STORY[0]], [{**s, "model": s["model"] * 60} for s in STORY[1]])
    for columns in (60, 80, 200):
        lines = on_terminal(columns, *words)
        assert len(lines) > 20 and max(map(len, lines)) <= columns, columns
    assert "▁" not in report(*words, LC_ALL="C").stdout and "█" in report(*words).stdout


# ------------------------------------------------------------------------------ a daemon


class Daemon(BaseHTTPRequestHandler):
    """Answers /wharf/history/ as the daemon does: what was in the time that is asked for, a page at a time."""

    rows, asked, held, config, devices = {}, [], [], [], []

    def do_GET(self):
        url = urlparse(self.path)
        if url.path == "/wharf/leases":
            self.say(200, {"leases": self.held})
            return
        if url.path == "/wharf/config":
            self.say(200, {"lines": [{"text": line} for line in self.config]})
            return
        if url.path == "/wharf/devices":
            self.say(200, {"devices": self.devices})
            return
        kind, q = url.path.rsplit("/", 1)[1], {k: v[0] for k, v in parse_qs(url.query).items()}
        type(self).asked.append((kind, q))
        time_of = {"requests": "arrived", "swaps": "at", "leases": "asked"}[kind]
        rows = [r for r in self.rows[kind] if q["start"] <= r[time_of] < q["end"] and r["id"] > int(q.get("after", 0))]
        page = rows[:min(int(q["limit"]), 7)]
        self.say(200 if url.path.startswith("/wharf/history/") else 404,
                 {kind: page, "next": page[-1]["id"] if len(rows) > len(page) else None})

    def say(self, status, answer):
        answer = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *words):
        pass


@pytest.fixture
def daemon():
    class Fresh(Daemon):
        asked = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Fresh, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slice
def test_from_a_daemon_as_from_files(daemon, tmp_path):
    handler, url = daemon
    numbered = lambda rows: [{**r, "id": i + 1} for i, r in enumerate(rows)]
    requests = numbered(STORY[0] + [request(400 + i, "a", 1, "anna") for i in range(40)])
    leases = numbered([lease(100, 100, 900, "job")])
    handler.rows = {"requests": requests, "swaps": numbered(STORY[1]), "leases": leases}
    span = ("--since", at(-60), "--until", at(3600))
    alike = (*span, "--no-policies")
    assert told("--url", url, *alike) == told(*files(tmp_path, requests, STORY[1], leases), *alike)
    pages = [q for kind, q in handler.asked if kind == "requests"]
    assert [q.get("after") for q in pages] == [None, "7", "14", "21", "28", "35", "42"]
    assert all(q["order"] == "asc" and int(q["limit"]) > 0 for q in pages)
    # What was loaded when the window begins came in before it.
    assert {q["start"] < at(-60) for kind, q in handler.asked if kind == "swaps"} == {True}
    handler.asked.clear()
    told("--url", url)
    begin = datetime.datetime.fromisoformat(handler.asked[0][1]["start"][:19] + "+00:00")
    age = datetime.datetime.now(datetime.timezone.utc) - begin
    assert datetime.timedelta(hours=23, minutes=50) < age < datetime.timedelta(hours=24, minutes=10)


def test_devices_whose_size_nobody_knows(daemon):
    """A report is made all the same, with what the configuration says of them, or says that it does not."""
    handler, url = daemon
    requests = [{**request(i, "a", 1), "id": i + 1} for i in range(3)]
    handler.rows = {"requests": requests, "swaps": [], "leases": []}
    handler.config = ["routing: {router: {use: fit}}", "models: {a: {cmd: 'x ${PORT}', vram: 1GiB}}"]
    span = ("--since", at(-60), "--until", at(3600))
    handler.devices = [{"total_bytes": 24 << 30}, {"total_bytes": None}]
    assert "give --gpus" in report("--url", url, *span).stdout
    handler.devices = [{"total_bytes": 24 << 30}]
    assert told("--url", url, *span)["policies"]["own"] == "fair+fit"


def test_what_is_still_held(wharf):
    """A lease comes into the history when it ends; until then it counts all the same."""
    d = wharf({"gpus": [gpu("g0", "12GiB")], "models": {"a": demo("a", vram="10GiB")},
               "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}})
    d.ok(d.chat("a"))
    job = Lease(d, name="job", vram="8GiB")
    job.until("granted")
    waits = Later(d.chat, "a")
    until(lambda: d.model("a")["waiting"] == 1, "somebody to wait")
    until(lambda: len(d.get("/wharf/history/swaps").json()["swaps"]) == 2, "the history")
    (lease,) = told("--url", d.url, "--no-policies")["leases"]
    assert lease["lease"] == "job" and lease["granted"] == 1 and lease["byte_hours"] > 0
    job.close()
    d.ok(waits.result())


def test_a_daemon_that_is_not_there_or_knows_no_history(daemon):
    handler, url = daemon
    report("--url", f"http://127.0.0.1:{free_port()}", status=69)
    handler.rows = {"requests": [], "swaps": [], "leases": []}
    handler.do_GET = lambda self: self.send_error(404)
    assert "cannot read the history" in report("--url", url, status=1).stderr


def test_policies_by_what_the_daemon_says_of_itself(wharf, tmp_path):
    """Its configuration, and the sizes of its devices; with a key that may see these."""
    models = {name: demo(name, vram="8GiB") for name in "ab"}
    keys = [{"key": "of-an-administrator", "admin": True}, {"key": "of-one-who-looks", "readOnly": True}]
    d = wharf({"gpus": [gpu("g0", "12GiB")], "models": models, "keys": keys})
    key = {"Authorization": "Bearer of-an-administrator"}
    for name in "abab":
        d.ok(d.chat(name, headers=key))
    until(lambda: len(d.get("/wharf/history/requests", key).json()["requests"]) == 4, "the history")
    words = ("--url", d.url, "--until", "2100-01-01", "--since", "2000-01-01")
    by_itself = told(*words, WHARF_KEY="of-an-administrator")["policies"]
    (tmp_path / "same.yaml").write_text(json.dumps({"models": models, "routing": {"router": {"use": "fit"}}}))
    by_file = told(*words, "--config", tmp_path / "same.yaml", "--gpus", "12GiB", WHARF_KEY="of-an-administrator")
    assert by_itself["own"] == "fair+fit" and by_itself == by_file["policies"]
    larger = told(*words, "--gpus", "24GiB", WHARF_KEY="of-an-administrator")["policies"]
    assert larger["own_waited_s"] < by_itself["own_waited_s"], "both are there at once"
    assert "with a key with 'admin: true'" in report(*words, WHARF_KEY="of-one-who-looks").stdout


# ------------------------------------------------------------------------------ promises


def test_the_documents_example_is_true(tmp_path):
    """docs/report.md shows what its own commands print."""
    text = (ROOT / "docs/report.md").read_text()
    blocks = re.findall(r"```(sh|text)\n(.*?)```", text, re.S)
    commands = [b for kind, b in blocks if kind == "sh" and "--history" in b][0]
    script = commands.replace("build/wharf", str(WHARF)).replace("/tmp/week", str(tmp_path / "week"))
    env = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    env.pop("COLUMNS", None)
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, cwd=ROOT, env=env,
                          timeout=20 * SECONDS, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, ""), done
    printed = done.stdout[done.stdout.index("From 2024"):]
    assert printed == [b for kind, b in blocks if kind == "text"][0]


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="WHARF_REPORT_WEEKS")
def test_half_a_million_requests(tmp_path):
    w = weeks.week(1)
    words = weeks.simulate(w, tmp_path, 1)
    many = tmp_path / "requests.jsonl"
    lines = many.read_bytes().splitlines(keepends=True)
    with many.open("wb") as file:
        for i in range(500_000):
            file.write(lines[i % len(lines)])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert told(*words, "--no-policies")["requests"] == 500_000
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 5, spent

"""`wharf simulate`: what it prints, what it refuses, and worlds small enough to be worked out by
hand."""

import json
import re
import shlex
import subprocess
import xml.dom.minidom

import pytest

from wharf_harness import ROOT, SECONDS, WHARF, WRAP

# A load takes 2 s and 4 s for the bytes at 2 GB/s; only one of the two fits.
CONFIG = """
gpus: [{sim: {name: sim, memory: 12GB}}]
models:
  a: {cmd: "engine ${PORT}", vram: 8GB, concurrencyLimit: 1}
  b: {cmd: "engine ${PORT}", vram: 8GB, concurrencyLimit: 1}
"""
TRACE = """time,model,class,prompt_tokens,output_tokens
0,a,,0,550
1,b,foreground,7500,0
7,a,background,1500,100
"""


def simulate(*words):
    return subprocess.run([*WRAP, WHARF, "simulate", *map(str, words)], capture_output=True,
                          text=True, timeout=10 * SECONDS, stdin=subprocess.DEVNULL, cwd=ROOT)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "wharf.yaml").write_text(CONFIG)
    (tmp_path / "trace.csv").write_text(TRACE)
    return ["--config", tmp_path / "wharf.yaml", "--trace", tmp_path / "trace.csv"]


def results(*words):
    done = simulate(*words, "--json")
    assert done.returncode == 0, done.stderr
    return {r["policy"]: r for r in json.loads(done.stdout)}


# policy: how long each request waits, in the order of the trace, and the loads.
BY_HAND = {
    # a is there at 6 s, serves until 17 and 20 s; then b comes in until 26 s.
    "fifo+fit-lru": ([6, 25, 10], 2),
    "fifo+group": ([6, 25, 10], 2),
    # In order of arrival: b until 23 s, which serves until 28 s; a until 34 s.
    "serial+group": ([6, 22, 27], 3),
    # b outranks, so that a admits nobody after the 10 s of its minResident: b is there at 23 s and
    # serves until 28 s. Another 10 s later it may go for somebody of a lower rank; a is there at 44 s.
    "fair+fit": ([6, 22, 37], 3),
}


@pytest.mark.slice
@pytest.mark.valgrind
def test_waits_by_hand(files):
    found = results(*files, "--policies", ",".join(BY_HAND), "--check")
    for policy, (waits, loads) in BY_HAND.items():
        r = found[policy]
        classes = {c["class"]: c for c in r["classes"]}
        assert [classes[c]["wait_max_s"] for c in ("normal", "foreground", "background")] == waits
        assert r["wait_p50_s"] == sorted(waits)[1] and r["wait_p95_s"] == r["wait_max_s"] == max(waits)
        assert (r["loads"], r["reload_s"], r["evictions"]) == (loads, 6 * loads, loads - 1), policy
        assert (r["requests"], r["served"], r["refused"], r["unserved"]) == (3, 3, 0, 0)
        assert (r["violations"], r["overcommits"]) == (0, 0)
        assert [(m["model"], m["served"]) for m in r["models"]] == [("a", 2), ("b", 1)]
    # 11 + 5 + 3 s of work, until 31 s and until 47 s.
    assert found["fifo+group"]["gpu_busy"] == pytest.approx(19 / 31, abs=0.002)
    assert found["fair+fit"]["gpu_busy"] == pytest.approx(19 / 47, abs=0.002)


def history(folder):
    return [[json.loads(line) for line in (folder / (kind + ".jsonl")).open()]
            for kind in ("requests", "swaps", "leases")]


@pytest.mark.slice
def test_history_by_hand(files, tmp_path):
    results(*files, "--policies", "fifo+fit-lru", "--history", tmp_path / "h")
    requests, swaps, leases = history(tmp_path / "h")
    assert list(requests[0]) == [
        "id", "arrived", "model", "class", "path", "status", "ended", "key", "trace", "waited_ms", "load_ms",
        "first_byte_ms", "total_ms", "input_tokens", "output_tokens", "cached_tokens"]
    # b waits until a is idle, at 20 s, and while it comes in; the third was there while a was served.
    assert [(r["arrived"], r["model"], r["waited_ms"], r["load_ms"], r["first_byte_ms"], r["total_ms"],
             r["input_tokens"], r["output_tokens"]) for r in requests] == [
        ("2024-01-01T00:00:00.000Z", "a", 6000, 6000, 6000, 17000, 0, 550),
        ("2024-01-01T00:00:01.000Z", "b", 25000, 6000, 30000, 30000, 7500, 0),
        ("2024-01-01T00:00:07.000Z", "a", 10000, 0, 11000, 13000, 1500, 100)]
    assert [(s["at"][17:23], s["kind"], s["model"], s["seconds"], s["bytes"], s["devices"], s.get("for_model"), s["ok"])
            for s in swaps] == [
        ("00.000", "load", "a", 6, 8_000_000_000, ["sim"], None, True),
        ("20.000", "unload", "a", 0, 8_000_000_000, ["sim"], "b", True),
        ("20.000", "load", "b", 6, 8_000_000_000, ["sim"], None, True)]
    assert leases == []
    assert "give --policies just that one" in simulate(*files, "--history", tmp_path / "h").stderr
    done = simulate(*files, "--policies", "fifo+fit", "--history", tmp_path / "no" / "such")
    assert done.returncode == 1 and "no/such" in done.stderr


@pytest.mark.slice
def test_leases_take_room(files, tmp_path):
    words = ("--generate", "every:model=a,period=1m,rows=4,seconds=1,key=k", "--generate",
             "lease:name=train,size=8GB,period=1h,hold=55s,from=70s,rows=1", "--policies", "fair+fit", "--check")
    r = results(*files[:2], *words, "--history", tmp_path / "h")["fair+fit"]
    requests, swaps, leases = history(tmp_path / "h")
    # a is put out at 70 s; its request of 120 s waits until 125 s for the lease's end, and 6 s more.
    assert [x["waited_ms"] for x in requests] == [6000, 0, 11000, 0]
    assert (r["loads"], r["overcommits"], r["violations"]) == (2, 0, 0)
    assert [(s["kind"], s["at"][14:19], s.get("for_lease")) for s in swaps] == [
        ("load", "00:00", None), ("unload", "01:10", "1"), ("load", "02:05", None)]
    assert leases == [{"id": "1", "asked": "2024-01-01T00:01:10.000Z", "granted": "2024-01-01T00:01:10.000Z",
                       "ended": "2024-01-01T00:02:05.000Z", "name": "train", "class": "normal", "bytes": 8_000_000_000,
                       "devices": ["sim"], "how": "released"}]
    # One that can never be granted is refused, and changes nothing.
    r = results(*files[:2], *words[:2], "--generate", "lease:size=13GB,period=1h,hold=1m,rows=1", *words[4:],
                "--history", tmp_path / "h")["fair+fit"]
    assert (r["loads"], r["served"]) == (1, 4) and [x["how"] for x in history(tmp_path / "h")[2]] == ["refused"]


def test_costs(files):
    words = ("--policies", "fifo+group", "--load-fixed", "1s", "--load-rate", "1GB/s", "--unload",
             "3s", "--decode", "100", "--prefill", "750", "--stretch", "2")
    r = results(*files, *words)["fifo+group"]
    # Loads take 9 s; a is there at 9 s, serves 5.5 and 3 s until 17.5 s, leaves until 20.5 s, and b
    # comes in until 29.5 s; they came at 0, 2 and 14 s.
    assert (r["wait_p50_s"], r["wait_max_s"], r["reload_s"]) == (9, 27.5, 18)


def test_members_of_the_json(files):
    done = simulate(*files, "--json")
    found = json.loads(done.stdout)
    assert [r["policy"] for r in found] == [
        "serial+group", "fifo+group", "fair+group", "fifo+fit-lru", "fifo+fit", "fair+fit-lru",
        "fair+fit", "fair+clairvoyant"]
    assert not done.stderr
    for r in found:
        assert {"policy", "loads", "reload_s", "wait_p50_s", "wait_p95_s", "wait_p99_s",
                "wait_max_s", "wait_mean_s", "violations", "evictions", "gpu_busy", "span_s",
                "reload_ratio", "overdue", "bound_used_max", "waiting_mean", "events",
                "events_per_s", "classes", "models", "note"} <= set(r)
        assert r["events"] > 0 and r["events_per_s"] > 0
    assert found[-1]["reload_ratio"] == pytest.approx(1, abs=0.001)


def without_speed(done):
    assert done.returncode == 0, done.stderr
    return [{k: v for k, v in r.items() if k != "events_per_s"} for r in json.loads(done.stdout)]


GENERATED = ("--generate", "bursty:rate=0.5,burst=4,rows=300,seconds=3",
             "--generate", "closed:clients=2,think=10s,for=10m,seconds=3", "--assign", "sticky")


@pytest.mark.slice
def test_the_same_seed_gives_the_same(files):
    words = [*files[:2], *GENERATED, "--json", "--check"]
    first = without_speed(simulate(*words, "--seed", 5))
    assert first == without_speed(simulate(*words, "--seed", 5))
    assert first != without_speed(simulate(*words, "--seed", 6))
    assert all(r["requests"] > 300 and r["unserved"] == 0 for r in first)


def test_rows_and_offered_load(files, tmp_path):
    rows = ["{\"timestamp\": %d, \"input_length\": 1500, \"output_length\": 50}" % (i * 1000)
            for i in range(101)]
    (tmp_path / "m.jsonl").write_text("\n".join(rows))
    words = (*files[:2], "--trace", tmp_path / "m.jsonl", "--policies", "fifo+fit", "--offered-load",
             "0.5")
    # 2 s of work a request: half a request on average is one every 4 s.
    r = results(*words)["fifo+fit"]
    assert r["requests"] == 101 and 404 <= r["span_s"] < 430
    assert results(*words, "--rows", "11")["fifo+fit"]["requests"] == 11


def test_the_class_is_the_models(files, tmp_path):
    config = tmp_path / "classes.yaml"
    config.write_text(CONFIG.replace("b: {", "b: {class: background, "))
    (tmp_path / "t.csv").write_text("time,model,class,seconds\n0,a,,1\n0,b,,1\n0,b,foreground,1\n")
    r = results("--config", config, "--trace", tmp_path / "t.csv", "--policies", "fair+fit")["fair+fit"]
    assert [c["class"] for c in r["classes"]] == ["foreground", "normal", "background"]


def test_traces_are_merged_by_time(files, tmp_path):
    (tmp_path / "one.csv").write_text("time,model,seconds\n0,a,1\n20,b,1\n")
    (tmp_path / "two.csv").write_text("time,model,seconds\n10,a,1\n40,a,1\n")
    both = "%s,%s" % (tmp_path / "one.csv", tmp_path / "two.csv")
    words = (*files[:2], "--policies", "fifo+fit-lru")
    r = results(*words, "--trace", both)["fifo+fit-lru"]
    assert (r["loads"], r["requests"]) == (3, 4)
    separate = results(*words, "--trace", tmp_path / "one.csv", "--trace", tmp_path / "two.csv")
    assert separate["fifo+fit-lru"]["loads"] == 3


def test_table(files):
    done = simulate(*files)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["POLICY", "SERVED", "LOADS", "RELOAD", "RATIO", "EVICTED",
                                "P50", "P95", "P99", "MAX", "BROKEN", "BUSY"]
    fair = next(i for i, line in enumerate(lines) if line.startswith("fair+fit *"))
    assert lines[fair].split()[2:] == ["100%", "3", "18", "1.00", "2", "22.0", "37.0", "37.0",
                                       "37.0", "0", "40%"]
    assert [line.split()[0] for line in lines[fair + 1:fair + 4]] == ["foreground", "normal",
                                                                      "background"]
    assert "* what this configuration asks for." in done.stdout


def test_starvation_is_found(files):
    """A steady stream of a starves b under fifo, and the bound of fair tells."""
    words = (*files[:2], "--generate", "closed:model=a,clients=3,for=20m,seconds=5,lengths=fixed",
             "--generate", "every:model=b,period=50s,for=20m,seconds=1", "--policies",
             "fifo+fit,fair+fit")
    found = results(*words)
    assert found["fair+fit"]["violations"] == 0 and found["fair+fit"]["loads"] > 8
    assert found["fifo+fit"]["violations"] > 10 and "for b" in found["fifo+fit"]["note"]
    text = simulate(*words).stdout
    assert "fifo+fit: bound broken by" in text and "fair+fit: bound" not in text


def test_who_is_never_served(tmp_path):
    """A pinned model that nobody may run beside."""
    config = tmp_path / "pinned.yaml"
    config.write_text(CONFIG.replace("a: {", "a: {pin: true, "))
    words = ("--config", config, "--generate", "every:period=60s,rows=10,model=a", "--generate",
             "every:period=60s,rows=10,model=b", "--policies", "fair+group")
    r = results(*words)["fair+group"]
    assert (r["requests"], r["served"], r["unserved"]) == (20, 10, 10)
    text = simulate(*words).stdout
    assert "10 of 20 requests were never served" in text and "fair+group  50%" in text


def test_plot(files, tmp_path):
    plot = tmp_path / "plot.svg"
    done = simulate(*files, "--policies", "fair+fit,fifo+group", "--plot", plot)
    assert done.returncode == 0
    svg = xml.dom.minidom.parse(str(plot))
    texts = [t.firstChild.data for t in svg.getElementsByTagName("text") if t.firstChild]
    assert texts.count("fair+fit") == 1 and texts.count("fifo+group") == 1
    assert texts.count("a") == 2 and texts.count("b") == 2
    assert not svg.getElementsByTagName("image") and "href" not in plot.read_text()
    done = simulate(*files, "--policies", "fair+fit", "--plot", tmp_path)
    assert done.returncode == 1 and "Is a directory" in done.stderr


def test_devices_by_option(tmp_path):
    config = tmp_path / "plain.yaml"
    config.write_text("models:\n  a: {cmd: 'engine ${PORT}'}\n  b: {cmd: 'engine ${PORT}'}\n")
    words = ("--config", config, "--generate", "every:period=60s,rows=10,zipf=0,seconds=1")
    assert set(results(*words)) == {"serial+group", "fifo+group", "fair+group"}
    assert results(*words, "--gpus", "24GiB")["fair+fit"]["loads"] == 2
    assert results(*words, "--gpus", "12GiB")["fair+fit"]["loads"] > 2
    assert results(*words, "--gpus", "12GiB,12GiB", "--size", "10GiB")["fair+fit"]["loads"] == 2


def test_the_commands_of_its_page():
    text = (ROOT / "docs/simulate.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    assert len(blocks) == 2
    for block in blocks:
        words = shlex.split(block.replace("\\\n", ""))
        assert words[:2] == ["build/wharf", "simulate"]
        assert simulate(*words[2:]).returncode == 0
    lines = simulate(*shlex.split(blocks[0])[2:]).stdout.splitlines()
    assert lines[:9] == text.split("```text\n")[1].split("```")[0].splitlines()


BAD = {
    "neither trace nor generator": ((), "give either --trace FILE or --generate SPEC"),
    "both": (("--generate", "every:period=1s", "--trace", "x"), "give either"),
    "no such file": (("--trace", "/nowhere/x.csv"), "/nowhere/x.csv: No such file or directory"),
    "no name": (("--trace", ","), "a file without a name"),
    "generator": (("--generate", "poisson"), "poisson: poisson needs a rate"),
    "policy": (("--generate", "every:period=1s", "--policies", "fair"), "'fair' is no policy"),
    "matrix": (("--generate", "every:period=1s", "--policies", "fair+matrix"), "has no matrix"),
    "future of closed clients": (("--generate", "closed:for=1h", "--policies", "fair+clairvoyant"),
                                 "cannot be foreseen"),
    "stretch": (("--generate", "every:period=1s", "--stretch", "fast"), "--stretch: 'fast'"),
    "stretch below 0": (("--generate", "every:period=1s", "--stretch", "-1"), "--stretch: '-1'"),
    "rows": (("--generate", "every:period=1s", "--rows", "0"), "--rows"),
    "rows, a word": (("--generate", "every:period=1s", "--rows", "all"), "not a whole number"),
    "seed": (("--generate", "every:period=1s", "--seed", "x"), "not a whole number"),
    "assign": (("--generate", "every:period=1s", "--assign", "sticky:0:1"), "--assign"),
    "prefill": (("--generate", "every:period=1s", "--prefill", "0"), "tokens a second"),
    "load rate": (("--generate", "every:period=1s", "--load-rate", "fast"), "--load-rate"),
    "load rate 0": (("--generate", "every:period=1s", "--load-rate", "0"), "--load-rate"),
    "load fixed": (("--generate", "every:period=1s", "--load-fixed", "x"), "--load-fixed"),
    "unload": (("--generate", "every:period=1s", "--unload", "x"), "--unload"),
    "size": (("--generate", "every:period=1s", "--size", "big"), "--size"),
    "gpus": (("--generate", "every:period=1s", "--gpus", "24GiB,"), "--gpus"),
    "too many gpus": (("--generate", "every:period=1s", "--gpus", ",".join(["1GiB"] * 9)), "--gpus"),
    "an unknown option": (("--polices", "fair+fit"), "did you mean '--policies'?"),
    "all at once": (("--generate", "every:period=1s,rows=1", "--offered-load", "0.5"),
                    "come all at once"),
    "an operand": (("x",), "unexpected 'x'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_flags(files, name):
    words, text = BAD[name]
    done = simulate(*files[:2], *words)
    assert done.returncode == 2 and text in done.stderr and not done.stdout, done


def test_bad_lines_are_named(files, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("time,model,seconds\n0,a,1\n1,c,1\n")
    done = simulate(*files[:2], "--trace", path)
    assert done.returncode == 2
    assert done.stderr == "wharf: simulate: %s:3: no model 'c' in the configuration\n" % path


def test_bad_configuration(tmp_path):
    config = tmp_path / "bad.yaml"
    config.write_text("models: [\n")
    done = simulate("--config", config, "--generate", "every:period=1s")
    assert done.returncode == 2 and "bad.yaml:" in done.stderr
    config.write_text("")
    done = simulate("--config", config, "--generate", "every:period=1s")
    assert done.returncode == 2 and "has no models" in done.stderr


def test_fit_needs_devices(tmp_path):
    config = tmp_path / "plain.yaml"
    config.write_text("models: {a: {cmd: 'engine ${PORT}'}}\n")
    done = simulate("--config", config, "--generate", "every:period=1s", "--policies", "fair+fit")
    assert done.returncode == 2 and "give --gpus 24GiB" in done.stderr

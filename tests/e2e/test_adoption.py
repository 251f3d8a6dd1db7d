"""A daemon that is killed leaves its models running; the next one takes them over as they are."""

import contextlib
import os
import pathlib
import random
import signal
import socket

import pytest

from test_placements import command, config as placed_config
from test_suspend import World
from wharf_harness import (SECONDS, Later, chat_body, content, demo, held, is_alive, models, until)

GIB = 1 << 30
HERE = "it was there already"


def gpus(*sizes):
    return {"gpus": [{"sim": {"name": f"gpu{i}", "memory": size}, "sample": "20ms"}
                     for i, size in enumerate(sizes)]}


def again(d, **options):
    """Killed and started anew."""
    d.kill()
    return begin(d, **options)


def begin(d, **options):
    """Started, and told of all that it takes over: what asks what there is may come before that."""
    d.start(**options)
    until(lambda: all(m["state"] != "unloaded" for m in d.get("/wharf/models").json()["models"] if m["pid"]),
          "the end of the start")
    return d


def pids_of(d):
    return {m["pid"] for m in d.get("/wharf/models").json()["models"] if m["pid"]}


def ledger(d, name="gpu0"):
    return next(g for g in d.get("/wharf/devices").json()["devices"] if g["name"] == name)


def taken_over(d):
    return d.stderr.count("taken over from an earlier daemon")


# ---------------------------------------------------------------- what serves


@pytest.mark.threads
@pytest.mark.slice
def test_a_loaded_model_goes_on_serving(wharf, containment):
    d = wharf({**gpus("12GiB"), "models": {"m": demo("m", "--fork-grandchildren", "2", vram="4GiB")}},
              **containment)
    before = d.load("m")
    until(lambda: len(d.tree()) == 3, "an engine and two grandchildren")
    tree = sorted(d.tree())
    again(d)
    after = d.model("m")
    assert (after["state"], after["pid"], after["port"]) == ("loaded", before["pid"], before["port"])
    assert after["device"] == "gpu0"
    assert content(d.ok(d.chat("m"))).startswith("demo-model m ")
    assert sorted(d.tree()) == tree, "nothing was started, nothing ended"
    until(lambda: ledger(d)["own_bytes"] == 4 * GIB and not ledger(d)["foreign_bytes"], "the books")
    d.ok(d.post("/wharf/models/m/unload"))
    assert not d.tree(), "its whole tree"
    until(lambda: ledger(d)["used_bytes"] == 0, "the memory")


@pytest.mark.slice
def test_again_and_again(wharf, containment):
    d = wharf(models("m"), **containment)
    pid = d.load("m")["pid"]
    for _ in range(5):
        again(d)
        assert d.model("m")["pid"] == pid
        d.ok(d.chat("m"))
    assert taken_over(d) == 5
    d.ok(d.post("/wharf/models/m/unload"))
    assert d.load("m")["pid"] != pid


def test_events_and_decisions_say_so(wharf):
    d = wharf(models("m"))
    d.load("m")
    again(d)
    events = d.events(last_event_id=0)
    assert events.wait_for("model_loaded", model="m")["details"]["reason"] == HERE


def test_a_stream_is_cut_and_the_next_request_works(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "20ms", "--tokens", "500")}})
    pid = d.load("m")["pid"]
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m", stream=True))
    stream = c.sse(c.head())
    next(stream)
    d.kill()
    with pytest.raises(ConnectionError):
        list(stream)
    begin(d)
    assert d.model("m")["pid"] == pid
    d.ok(d.chat("m", max_tokens=2))


def test_what_leaves_for_others(wharf):
    """It is in the books: whoever needs its room makes it leave, and waits until it has gone."""
    d = wharf({**gpus("12GiB"), "models": {"m": demo("m", vram="8GiB"), "n": demo("n", vram="8GiB")},
               "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}})
    pid = d.load("m")["pid"]
    again(d)
    d.ok(d.chat("n"))
    assert not is_alive(pid) and d.state_of("m") == "unloaded"
    assert ledger(d)["own_bytes"] == 8 * GIB


def test_each_on_its_device(wharf):
    d = wharf({**gpus("8GiB", "8GiB"), "models": {n: demo(n, vram="6GiB") for n in "ab"}})
    before = {n: d.load(n) for n in "ab"}
    assert {m["device"] for m in before.values()} == {"gpu0", "gpu1"}
    again(d)
    for n in "ab":
        m = d.model(n)
        assert (m["device"], m["pid"]) == (before[n]["device"], before[n]["pid"])
    for g in ("gpu0", "gpu1"):
        until(lambda g=g: ledger(d, g)["own_bytes"] == 6 * GIB, "the books")


def test_pins_limits_and_ttl_hold_as_they_are_configured_now(wharf):
    d = wharf(models("m"))
    pid = d.load("m")["pid"]
    d.kill()
    d.write_config({"models": {"m": demo("m", ttl=1)}})
    begin(d)
    assert d.model("m")["pid"] == pid, "only its policy has changed"
    d.until_model("m", state="unloaded")
    assert not is_alive(pid)


# ---------------------------------------------------------------- what loads, sleeps, moves


@pytest.mark.slice
def test_a_load_goes_on(wharf, containment, tmp_path):
    flag = tmp_path / "go"
    d = wharf({**gpus("12GiB"), "models": {"m": held(demo("m", vram="4GiB"), flag)}}, **containment)
    Later(d.chat, "m")
    d.until_model("m", state="loading")
    [pid] = until(d.tree, "its process")[:1]
    again(d)
    m = d.model("m")
    assert (m["state"], m["pid"]) == ("loading", pid)
    assert ledger(d)["own_bytes"] == 4 * GIB, "charged as it comes in"
    call = Later(d.chat, "m")
    d.until_model("m", waiting=1)
    flag.touch()
    d.ok(call.result())
    assert d.model("m")["pid"] == pid


def test_a_load_that_fails_after_all(wharf, tmp_path):
    flag = tmp_path / "go"
    d = wharf({"models": {"m": held(demo("m"), flag)}})
    Later(d.chat, "m")
    d.until_model("m", state="loading")
    [pid] = until(d.tree, "its process")[:1]
    again(d)
    events = d.events()
    os.kill(pid, signal.SIGKILL)
    failed = events.wait_for("load_failed", model="m")
    assert failed["details"]["reason"]
    flag.touch()
    d.load("m")


@pytest.mark.slice
def test_one_that_sleeps_is_woken(wharf, tmp_path):
    w = World(wharf, tmp_path, {"s": {"engine": "vllm"}})
    pid = w.d.load("s")["pid"]
    w.suspend()
    again(w.d)
    m = w.d.model("s")
    assert (m["state"], m["pid"]) == ("suspended", pid)
    w.chat()
    assert w.d.model("s")["pid"] == pid and "/wake_up" in w.paths()


def test_one_that_sleeps_and_cannot_be_woken_any_more_is_ended(wharf, tmp_path):
    w = World(wharf, tmp_path, {"s": {"engine": "vllm"}})
    pid = w.d.load("s")["pid"]
    w.suspend()
    w.d.kill()
    config = w.config({"s": {"engine": "vllm"}})
    del config["models"]["s"]["suspend"]
    w.d.write_config(config)
    begin(w.d)
    assert not is_alive(pid) and w.d.state_of("s") == "unloaded"
    w.chat()


def test_one_in_the_middle_of_falling_asleep_is_ended(wharf, tmp_path):
    w = World(wharf, tmp_path, {"s": {"engine": "vllm", "fault": "hangs_on_sleep"}})
    pid = w.d.load("s")["pid"]
    Later(w.d.post, "/wharf/models/s/suspend")
    w.d.until_model("s", state="suspending")
    again(w.d)
    assert not is_alive(pid), "nobody knows how it is"
    assert w.d.state_of("s") == "unloaded"


def test_of_a_move_the_one_that_serves_is_kept(wharf, tmp_path):
    flag = tmp_path / "go"
    model = {"proxy": "http://127.0.0.1:${PORT}", "cmd": command("on-any"),
             "devices": {"cuda": {"vram": "2GiB", "cmd": command("on-cuda", "--vram", "2GiB")},
                         "cpu": held({"cmd": command("on-cpu")}, flag)}}
    d = wharf(placed_config(model))
    pid = d.load("m")["pid"]
    Later(d.post, "/wharf/models/m/move?device=cpu")
    until(lambda: len(d.tree()) == 2, "the successor")
    again(d)
    assert d.tree() == [pid] and d.model("m")["device"] == "left"
    d.ok(d.chat("m"))


# ---------------------------------------------------------------- what is not taken over


@pytest.mark.slice
@pytest.mark.parametrize("change", ["definition", "removed"])
def test_what_is_configured_otherwise_is_ended(wharf, containment, change):
    d = wharf({"models": {"m": demo("m", "--fork-grandchildren", "2", "--ignore-sigterm",
                                    unloadTimeout=1)}}, **containment)
    d.load("m")
    until(lambda: len(d.tree()) == 3, "an engine and two grandchildren")
    d.kill()
    left = d.tree()
    assert len(left) == 3, "they live on: nobody told them to end"
    d.write_config({"models": {"m": demo("m", "--tokens", "3")} if change == "definition" else
                    {"n": demo("n")}})
    begin(d)
    assert [p for p in left if is_alive(p)] == []
    assert "left over" in d.stderr
    d.ok(d.chat("m" if change == "definition" else "n"))


def test_one_that_died_meanwhile(wharf, containment):
    d = wharf({"models": {"m": demo("m", "--fork-grandchildren", "2")}}, **containment)
    pid = d.load("m")["pid"]
    until(lambda: len(d.tree()) == 3, "an engine and two grandchildren")
    d.kill()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), "its end")
    left = d.tree()
    begin(d)
    assert d.state_of("m") == "unloaded" and not [p for p in left if is_alive(p)]
    d.ok(d.chat("m"))


def test_one_that_refuses_connections(wharf):
    d = wharf({"models": {"m": demo("m", "--stop-time", "60s", unloadTimeout=1)}})
    pid = d.load("m")["pid"]
    d.kill()
    os.kill(pid, signal.SIGTERM)  # it closes its socket, and stays

    def refuses():
        with contextlib.suppress(OSError), socket_to(d.model_port):
            return False
        return True
    d.model_port = port_of(pid)
    until(refuses, "its socket's end")
    begin(d)
    assert "its check fails" in d.stderr
    d.ok(d.chat("m"))
    assert d.model("m")["pid"] != pid and not is_alive(pid)


def test_one_that_does_not_answer_now_is_given_the_benefit_of_the_doubt(wharf):
    """An engine at work may be deaf for minutes, and is no worse for it."""
    d = wharf(models("m"))
    pid = d.load("m")["pid"]
    d.kill()
    os.kill(pid, signal.SIGSTOP)
    try:
        d.start()
        answer = d.get("/ready")
        assert (answer.status, answer.text) == (503, "starting"), answer
        d.until_model("m", state="loaded", pid=pid)
        assert d.get("/ready").status == 200 and "its check is not answered" in d.stderr
        call = Later(d.chat, "m")
    finally:
        os.kill(pid, signal.SIGCONT)
    d.ok(call.result())


def port_of(pid):
    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return int(words[words.index("--port") + 1])


def socket_to(port):
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


# ---------------------------------------------------------------- records


@pytest.mark.parametrize("harm", ["noise", "zeros", "cut", "gone", "another boot"])
def test_harm_to_the_records(wharf, harm):
    """Whatever is in the file, the daemon starts, ends what it cannot take over, and serves."""
    d = wharf({"models": {n: demo(n) for n in "ab"}})
    pids = [d.load("a")["pid"]]
    d.kill()
    path = d.state / "records"
    data = bytearray(path.read_bytes())
    if harm == "noise":
        rng = random.Random(1)
        for _ in range(4000):
            data[rng.randrange(4096, len(data))] = rng.randrange(256)
    elif harm == "zeros":
        data[4096:] = bytes(len(data) - 4096)
    elif harm == "cut":
        data = data[:5000]
    elif harm == "another boot":
        data[16:24] = b"fedcba98"
    path.unlink() if harm == "gone" else path.write_bytes(data)
    begin(d)
    assert d.state_of("a") == "unloaded" and not is_alive(pids[0])
    d.ok(d.chat("a"))
    d.ok(d.chat("b"))


def test_no_room_for_records(wharf):
    """Then nothing outlives the daemon, which says so, and everything else works."""
    d = wharf(models("m"))
    d.stop()
    (d.state / "records").unlink()
    (d.state / "records").mkdir()
    begin(d)
    pid = d.load("m")["pid"]
    degraded = d.get("/wharf/status").json()["degraded"]
    assert degraded and "records" in str(degraded)
    again(d)
    assert not is_alive(pid)
    d.ok(d.chat("m"))


def test_long_and_odd_names(wharf):
    names = ["m" * 200, "a/b:c d", "ü" * 30, "x" * 400]
    d = wharf({"models": {n: demo("m") for n in names}, "groups": {"all": {"swap": False, "members": names}}})
    for n in names:
        d.ok(d.chat(n))
    before = pids_of(d)
    again(d)
    assert len(before) == len(names) and pids_of(d) == before
    for n in names:
        d.ok(d.chat(n))


# ---------------------------------------------------------------- after that


@pytest.mark.slice
def test_its_crash_is_seen(wharf, containment):
    d = wharf(models("m"), **containment)
    pid = d.load("m")["pid"]
    again(d)
    events = d.events()
    os.kill(pid, signal.SIGKILL)
    events.wait_for("model_unloaded", model="m")
    d.ok(d.chat("m"))
    assert d.model("m")["pid"] != pid


def test_one_that_is_deaf_to_sigterm_is_killed_with_all_it_started(wharf, containment):
    d = wharf({"models": {"m": demo("m", "--ignore-sigterm", "--fork-grandchildren", "2",
                                    unloadTimeout=1)}}, **containment)
    d.load("m")
    until(lambda: len(d.tree()) == 3, "an engine and two grandchildren")
    again(d)
    d.ok(d.post("/wharf/models/m/unload"))
    assert not d.tree()


def test_its_log_goes_on(wharf):
    d = wharf(models("m"))
    d.load("m")
    log = d.state / "logs" / "m.log"
    before = log.read_text()
    again(d)
    assert log.read_text() == before and before
    assert before.splitlines()[-1] in d.cli("logs", "m").stdout


def test_ports_of_those_taken_over_are_given_to_nobody_else(wharf):
    d = wharf({"models": {n: demo(n) for n in "abc"}, "groups": {"all": {"swap": False, "members": list("abc")}}})
    ports = {n: d.load(n)["port"] for n in "ab"}
    again(d)
    assert d.load("c")["port"] not in ports.values()
    assert {n: d.model(n)["port"] for n in "ab"} == ports


# ---------------------------------------------------------------- onExit: keep


@pytest.mark.slice
def test_models_may_outlive_an_ordinary_end(wharf, containment):
    d = wharf({"onExit": "keep", **gpus("12GiB"),
               "models": {"m": demo("m", "--token-delay", "20ms", "--tokens", "20", vram="4GiB")}}, **containment)
    pid = d.load("m")["pid"]
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m", stream=True))
    stream = c.sse(c.head())
    next(stream)
    d.signal(signal.SIGTERM)
    assert [e["data"] for e in stream][-1] == "[DONE]", "what runs is finished first"
    assert d.wait() == 0
    assert is_alive(pid) and "left running for the next daemon" in d.stderr
    begin(d)
    assert d.model("m")["pid"] == pid
    d.write_config({**gpus("12GiB"), "models": {"m": demo("m", "--token-delay", "20ms", "--tokens", "20",
                                                         vram="4GiB")}})
    d.signal(signal.SIGHUP)
    d.events(last_event_id=0).wait_for("config_reloaded")


def test_a_load_goes_on_behind_an_ordinary_end(wharf, tmp_path):
    flag = tmp_path / "go"
    keep = {"onExit": "keep", "models": {"m": held(demo("m"), flag)}}
    d = wharf(keep)
    Later(d.chat, "m")
    d.until_model("m", state="loading")
    [pid] = until(d.tree, "its process")[:1]
    d.signal(signal.SIGTERM)
    assert d.wait() == 0 and is_alive(pid)
    d.write_config({**keep, "onExit": "stop"})
    begin(d)
    assert d.state_of("m") == "loading"
    flag.touch()
    d.ok(d.chat("m"))
    assert d.model("m")["pid"] == pid


# ---------------------------------------------------------------- at any moment


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_random_moments(wharf, containment):
    """Two models too large for each other, asked for without a pause: whatever the moment, there is
    never a second process of a model, nor one that no daemon knows."""
    seed = int(os.environ.get("WHARF_ADOPTION_SEED", random.randrange(1 << 32)))
    kills = int(os.environ.get("WHARF_ADOPTION_KILLS", 25))
    print(f"seed {seed}, {kills} kills")
    rng = random.Random(seed)
    d = wharf({**gpus("12GiB"), "unloadTimeout": 2,
               "models": {"big": demo("big", "--load-time", "30ms", vram="8GiB"),
                          "bad": demo("bad", "--load-time", "30ms", vram="8GiB"),
                          "small": demo("small", "--load-time", "10ms", vram="2GiB")},
               "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}}, **containment)
    for _ in range(kills):
        served = rng.randrange(1, 12)
        for _ in range(served):
            d.ok(d.chat(rng.choice(["big", "bad", "small"])))
        for name in ("big", "bad", "small"):
            Later(d.chat, name)
        for _ in range(rng.randrange(0, 40)):
            d.get("/health")  # the moment: so many turns of the daemon later
        again(d)
        for name in ("big", "bad", "small"):
            assert len(d.engines(name)) <= 1, f"two of {name}"
        until(lambda: set(d.engines()) <= pids_of(d), "nobody whom the daemon does not know")
        until(lambda: ledger(d)["used_bytes"] is not None, "the device to be read")
        until(lambda: ledger(d)["used_bytes"] <= 12 * GIB and not ledger(d)["foreign_bytes"], "the books")
    assert taken_over(d) > kills // 2

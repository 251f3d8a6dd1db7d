"""What models take of a GPU: measured, kept over restarts, guessed before, and raised when it was not
enough. The GPU is a simulated one, and its folder says what is really claimed."""

import contextlib
import os
import pathlib
import shlex
import signal
import sqlite3
import struct

import pytest

from wharf_harness import demo, until

GIB = 1024 ** 3
MIB = 1024 ** 2
OVERHEAD = 512 * MIB


def gpu(memory="10GiB"):
    return {"sim": {"name": "sim", "memory": memory}, "sample": "20ms"}


def config(models, memory="10GiB", **keys):
    return {"gpus": [gpu(memory)], **keys, "models": models}


def auto(name, size, *flags, **keys):
    """It takes so much, and nobody has said so."""
    return {**demo(name, "--vram", size, *flags, **keys), "vram": "auto"}


def declared(name, said, takes, *flags):
    return {**demo(name, "--vram", takes, *flags), "vram": said}


def loaded(d):
    return sorted(m["id"] for m in d.get("/wharf/models").json()["models"] if m["state"] == "loaded")


def learned(d, name, size):
    return d.until_model(name, footprint_source="learned", footprint_bytes=size)


def kept(d):
    """What stands in the file: {(model, placement): bytes}."""
    with contextlib.closing(sqlite3.connect(f"file:{d.state}/wharf.sqlite?mode=ro", uri=True)) as db:
        return {(m, p): b for m, p, b in db.execute("select model, placement, bytes from footprint")}


def until_kept(d, name, size):
    until(lambda: kept(d).get((name, "gpu")) == size, f"{name} with {size}; the file has {kept(d)}")


def store_trouble(d):
    return [t for t in d.get("/wharf/status").json()["degradations"] if t["name"] == "footprints"]


# ---------------------------------------------------------------- measured and kept


@pytest.mark.threads
@pytest.mark.slice
def test_auto_is_learned_and_survives_a_restart(wharf):
    d = wharf(config({"a": auto("a", "3GiB"), "b": auto("b", "4GiB"), "c": auto("c", "6GiB")}))
    assert d.model("a")["footprint"] == {
        "source": "unknown", "bytes": None, "samples": 0, "residue_bytes": None, "measured_at": None}
    for name, size in (("a", 3), ("b", 4)):
        d.load(name)
        learned(d, name, size * GIB)
    d.stop()
    d.start()
    for name, size in (("a", 3), ("b", 4)):
        m = d.model(name)
        assert (m["state"], m["footprint_source"], m["footprint_bytes"]) == ("unloaded", "learned", size * GIB)
        assert m["footprint"]["source"] == "measured" and m["footprint"]["bytes"] == size * GIB
        assert m["footprint"]["samples"] >= 1 and m["footprint"]["measured_at"].endswith("Z")
        assert m["load_s"] > 0
    # What is known goes beside each other at once; c, of which nothing is known, does not.
    events = d.events()
    d.load("a")
    d.load("b")
    assert loaded(d) == ["a", "b"] and not events.catch_up().all("model_unloaded")
    d.load("c")
    assert loaded(d) == ["c"]


def test_auto_survives_a_kill(wharf):
    d = wharf(config({"a": auto("a", "3GiB"), "b": auto("b", "4GiB")}))
    d.load("a")
    learned(d, "a", 3 * GIB)
    until_kept(d, "a", 3 * GIB)
    d.kill()
    d.start()
    m = d.model("a")
    assert (m["footprint_source"], m["footprint_bytes"]) == ("learned", 3 * GIB)


def test_the_most_that_it_takes_is_learned_while_it_serves(wharf):
    d = wharf(config({"a": auto("a", "3GiB", "--vram-grow", "1GiB")}))
    d.load("a")
    learned(d, "a", 3 * GIB)
    d.ok(d.chat("a"))
    learned(d, "a", 4 * GIB)
    until_kept(d, "a", 4 * GIB)
    assert d.state_of("a") == "loaded"


@pytest.mark.slice
@pytest.mark.parametrize("stays", [False, True], ids=["unloaded", "loaded"])
def test_another_command_is_another_footprint(wharf, stays):
    """Also when it changes under a model that is loaded, and that leaves for it."""
    d = wharf(config({"a": auto("a", "2GiB")}))
    d.load("a")
    learned(d, "a", 2 * GIB)

    def change(size):
        if not stays:
            d.ok(d.post("/wharf/models/a/unload"))
        d.reload(config({"a": auto("a", size)}))
        return d.until_model("a", state="unloaded", settling=False)

    assert change("3GiB")["footprint_source"] == "unknown"
    d.load("a")
    learned(d, "a", 3 * GIB)
    change("2GiB")
    learned(d, "a", 2 * GIB)
    d.load("a")
    change("3GiB")
    learned(d, "a", 3 * GIB)


def test_a_model_that_came_later_is_known(wharf):
    d = wharf(config({"a": auto("a", "2GiB"), "b": auto("b", "3GiB")}))
    d.load("a")
    learned(d, "a", 2 * GIB)
    d.reload(config({"b": auto("b", "3GiB")}))
    d.reload(config({"c": auto("c", "3GiB"), "a": auto("a", "2GiB")}))
    learned(d, "a", 2 * GIB)
    assert d.model("c")["footprint_source"] == "unknown"


# ---------------------------------------------------------------- estimates


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def number(key, n):
    return text(key) + struct.pack("<II", 4, n)


def llama3(path, size, context=8192):
    """A file that says that it is Llama 3 8B: 128 KiB of cache for each token."""
    pairs = [text("general.architecture") + struct.pack("<I", 8) + text("llama"),
             number("llama.block_count", 32), number("llama.context_length", context),
             number("llama.embedding_length", 4096), number("llama.attention.head_count", 32),
             number("llama.attention.head_count_kv", 8)]
    head = b"GGUF" + struct.pack("<IQQ", 3, 291, len(pairs)) + b"".join(pairs)
    with open(path, "wb") as f:
        f.write(head)
        f.truncate(len(head) + size)
    return path


def with_words(model, *words):
    """The same engine, with words on its command line that it does not see."""
    return {**model, "cmd": shlex.join(["/bin/sh", "-c", f"exec {model['cmd']}", "engine", *map(str, words)])
            .replace("'${PORT}'", "${PORT}")}


def estimated(d, name):
    m = d.until_model(name, footprint_source="estimated")
    assert m["footprint"] == {"source": "estimated", "bytes": m["footprint_bytes"], "samples": 0,
                              "residue_bytes": None, "measured_at": None}
    return m["footprint_bytes"]


@pytest.mark.slice
@pytest.mark.parametrize("flags, takes", [
    (["-c", "4096"], 4 * GIB + GIB // 2),
    ([], 4 * GIB + GIB),  # as many tokens as it was made for
    (["-c", "4096", "-ctk", "q8_0", "-ctv", "q8_0"], 4 * GIB + GIB // 2 // 64 * 34),
    (["-c", "4096", "-ngl", "0"], 0)])
def test_an_estimate_from_a_gguf(wharf, tmp_path, flags, takes):
    file = llama3(tmp_path / "model.gguf", 4 * GIB)
    d = wharf(config({"a": with_words(auto("a", "5GiB"), "-m", file, *flags),
                      "b": demo("b", vram="4GiB")}))
    assert estimated(d, "a") == takes + OVERHEAD
    # It is not given the whole GPU, and what it really takes is learned.
    d.load("b")
    d.load("a")
    assert loaded(d) == ["a", "b"]
    learned(d, "a", 5 * GIB)
    d.stop()
    d.start()
    learned(d, "a", 5 * GIB)


def test_an_estimate_for_a_model_without_vram(wharf, tmp_path):
    model = demo("a", "--vram", "5GiB")
    assert "vram" not in model
    d = wharf(config({"a": with_words(model, "-m", llama3(tmp_path / "m.gguf", 4 * GIB))}))
    assert estimated(d, "a") == 5 * GIB + OVERHEAD


def test_an_estimate_from_several_files(wharf, tmp_path):
    first = llama3(tmp_path / "m-00001-of-00003.gguf", GIB)
    for i in (2, 3):
        with open(tmp_path / f"m-0000{i}-of-00003.gguf", "wb") as f:
            f.truncate(GIB)
    with open(tmp_path / "mmproj.gguf", "wb") as f:
        f.truncate(GIB // 2)
    d = wharf(config({"a": with_words(auto("a", "1GiB"), "--model", first, "--mmproj", tmp_path / "mmproj.gguf")}))
    assert estimated(d, "a") == 3 * GIB + GIB // 2 + GIB + OVERHEAD


def test_an_estimate_from_any_large_file(wharf, tmp_path):
    for name, size in (("weights.bin", 2 * GIB), ("other.bin", GIB), ("server.py", 1000)):
        with open(tmp_path / name, "wb") as f:
            f.truncate(size)
    d = wharf(config({"a": with_words(auto("a", "1GiB"), tmp_path / "other.bin", f"--weights={tmp_path}/weights.bin"),
                      "b": with_words(auto("b", "1GiB"), tmp_path / "server.py"),
                      "c": with_words(auto("c", "1GiB"), "-m", tmp_path / "nowhere.gguf")}))
    assert estimated(d, "a") == 2 * GIB + OVERHEAD
    for name in "bc":
        assert d.model(name)["footprint_source"] == "unknown"


def test_an_estimate_that_is_too_large_refuses_nobody(wharf, tmp_path):
    file = llama3(tmp_path / "model.gguf", 40 * GIB)
    d = wharf(config({"a": with_words(auto("a", "5GiB"), "-m", file), "b": demo("b", vram="4GiB")}))
    assert estimated(d, "a") > 40 * GIB
    d.load("b")
    d.load("a")
    assert loaded(d) == ["a"], "alone, as a model of which nothing is known"
    learned(d, "a", 5 * GIB)


def test_a_file_whose_numbers_are_nonsense_is_no_estimate(wharf, tmp_path):
    """A cache of more bytes than can be counted is not a small one."""
    pairs = [text("general.architecture") + struct.pack("<I", 8) + text("llama"),
             number("llama.block_count", 32), number("llama.context_length", 2 ** 32 - 1),
             number("llama.attention.head_count_kv", 2 ** 15),
             number("llama.attention.key_length", 2 ** 20), number("llama.attention.value_length", 2 ** 20)]
    nonsense = tmp_path / "nonsense.gguf"
    nonsense.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 291, len(pairs)) + b"".join(pairs) + bytes(MIB))
    fine = llama3(tmp_path / "fine.gguf", GIB)
    d = wharf(config({"a": with_words(auto("a", "1GiB"), "-m", nonsense),
                      "half": with_words(auto("half", "1GiB"), "-m", nonsense, "-ngl", 16),
                      "draft": with_words(auto("draft", "1GiB"), "-m", fine, "-md", nonsense),
                      "z": with_words(auto("z", "1GiB"), "-m", fine)}))
    estimated(d, "z")  # the last one
    assert [d.model(name)["footprint_source"] for name in ("a", "half", "draft")] == ["unknown"] * 3


def test_an_estimate_is_for_each_gpu(wharf, tmp_path):
    file = llama3(tmp_path / "model.gguf", 7 * GIB)
    two = [{"sim": {"name": n, "memory": "10GiB"}, "sample": "20ms"} for n in ("left", "right")]
    d = wharf({"gpus": two, "models": {"a": {**with_words(auto("a", "8GiB"), "-m", file), "gpuCount": 2}}})
    assert estimated(d, "a") == (8 * GIB + OVERHEAD) / 2


@pytest.mark.skipif("WHARF_TEST_GGUF" not in os.environ, reason="WHARF_TEST_GGUF names no model")
def test_an_estimate_of_a_real_model(wharf):
    """stories260K: 5 layers, 4 heads of 8 + 8 numbers: 640 bytes for each of its 512 tokens."""
    file = pathlib.Path(os.environ["WHARF_TEST_GGUF"])
    d = wharf(config({"a": with_words(auto("a", "1GiB"), "-m", file)}))
    cache = 512 * 5 * 4 * (8 + 8) * 2
    weights = estimated(d, "a") - cache - OVERHEAD
    # 260032 parameters of 4 bytes, and where they are.
    assert 260032 * 4 <= weights < file.stat().st_size


# ---------------------------------------------------------------- out of memory


SAYINGS = ["", "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
           "alloc_tensor_range: failed to allocate ROCm0 buffer of size 5368709120",
           "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."]


@pytest.mark.slice
@pytest.mark.parametrize("saying", SAYINGS, ids=["cuda", "vulkan", "rocm", "torch"])
def test_out_of_memory_makes_room_and_tries_once_more(wharf, saying):
    flags = ["--oom-message", saying] if saying else []
    d = wharf(config({"n": demo("n", vram="6GiB"), "a": declared("a", "4GiB", "5GiB", *flags)}))
    events = d.events()
    d.load("n")
    d.ok(d.chat("a"))
    assert events.wait_for("oom", model="a")["details"]["bytes"] == 5 * GIB
    assert events.wait_for("evicted", model="n")["details"]["for_model"] == "a"
    assert loaded(d) == ["a"]
    assert len(events.catch_up().all("load_failed")) == 1
    m = learned(d, "a", 5 * GIB)
    assert m["footprint"]["source"] in ("oom", "measured")
    d.stop()
    d.start()
    # It is known from then on: no second attempt is needed.
    events = d.events()
    d.load("n")
    d.load("a")
    assert not events.catch_up().all("load_failed")


def test_what_ran_out_of_memory_is_known_as_that(wharf, tmp_path):
    """Until it is measured, which this one is not: the first attempt fails, the second claims nothing."""
    model = declared("a", "4GiB", "4GiB", "--no-claim")
    once = f'mkdir {tmp_path}/tried 2>/dev/null && echo "CUDA error: out of memory" >&2 && exit 1'
    model["cmd"] = f"/bin/sh -c '{once}; exec {model['cmd']}'"
    d = wharf(config({"a": model}))
    d.load("a")
    for _ in range(2):
        m = learned(d, "a", 5 * GIB)
        assert m["footprint"]["source"] == "oom" and m["footprint"]["measured_at"], m
        until_kept(d, "a", 5 * GIB)
        d.stop()
        d.start()


def test_out_of_memory_twice_is_told(wharf):
    d = wharf(config({"a": declared("a", "4GiB", "9GiB")}, memory="8GiB"))
    events = d.events()
    answer = d.chat("a")
    assert answer.status in (502, 503, 507), answer
    assert "out of" in answer.message and "memory" in answer.message, answer
    assert d.state_of("a") == "error"
    assert len(events.catch_up().all("load_failed")) == 2 and len(events.all("oom")) == 2


def test_another_failure_is_not_tried_again(wharf):
    d = wharf(config({"a": declared("a", "4GiB", "9GiB", "--oom-message", "failed to allocate CPU buffer of size 9")},
                     memory="8GiB"))
    events = d.events()
    assert d.chat("a").status == 502
    assert len(events.catch_up().all("load_failed")) == 1 and not events.all("oom")


@pytest.mark.slice
def test_out_of_memory_while_serving(wharf):
    d = wharf(config({"n": demo("n", vram="6GiB"),
                      "a": declared("a", "4GiB", "4GiB", "--vram-grow", "1GiB")}))
    events = d.events()
    d.load("n")
    d.load("a")
    assert loaded(d) == ["a", "n"]
    answer = d.chat("a")
    assert answer.status == 502, answer
    assert events.wait_for("oom", model="a")["details"]["bytes"] == 5 * GIB
    gone = events.wait_for("model_unloaded", model="a")["details"]
    assert gone["reason"] == "it ran out of device memory"
    d.ok(d.chat("a"))
    assert loaded(d) == ["a"], "n left for what a needs now"
    learned(d, "a", 5 * GIB)


# ---------------------------------------------------------------- not where it should be


@pytest.mark.slice
def test_running_on_cpu_is_told(wharf):
    d = wharf(config({"a": declared("a", "2GiB", "2GiB", "--no-claim"), "b": demo("b", vram="2GiB")}))
    events = d.events()
    d.load("a")
    d.load("b")
    told = events.wait_for("running_on_cpu", model="a")["details"]
    assert (told["device"], told["bytes"]) == ("sim", 2 * GIB)
    assert d.model("a")["on_cpu"] is True and d.model("b")["on_cpu"] is False
    assert "cpu, not sim" in d.cli("ps", check=0).stdout
    d.ok(d.post("/wharf/models/a/unload"))
    assert d.model("a")["on_cpu"] is None
    assert len(events.catch_up().all("running_on_cpu")) == 1


# ---------------------------------------------------------------- the store


@pytest.mark.threads
@pytest.mark.slice
def test_a_store_that_cannot_be_written_costs_history_only(wharf):
    d = wharf(config({"a": auto("a", "3GiB")}))
    d.stop()
    (d.state / "wharf.sqlite").unlink()
    (d.state / "wharf.sqlite").mkdir()
    d.start()
    [trouble] = store_trouble(d)
    assert trouble["what"] == "store" and "wharf.sqlite" in trouble["reason"], trouble
    d.ok(d.chat("a"))
    learned(d, "a", 3 * GIB)
    events = d.events()
    d.reload(config({"a": auto("a", "3GiB")}))
    assert d.stderr.count("degraded {") == 1, "it is said once"
    # When it can be opened, what was learned meanwhile is kept.
    (d.state / "wharf.sqlite").rmdir()
    d.signal(signal.SIGHUP)
    events.wait_for("recovered", name="footprints")
    assert not store_trouble(d)
    until_kept(d, "a", 3 * GIB)


def test_a_store_that_is_locked_is_waited_for(wharf):
    d = wharf(config({"a": auto("a", "3GiB")}))
    events = d.events()
    with contextlib.closing(sqlite3.connect(d.state / "wharf.sqlite", isolation_level=None)) as db:
        db.execute("begin immediate")
        d.ok(d.chat("a"))
        told = events.wait_for("degraded", name="footprints")["details"]
        assert "locked" in told["reason"]
        learned(d, "a", 3 * GIB)
        db.execute("rollback")
    events.wait_for("recovered", name="footprints")
    until_kept(d, "a", 3 * GIB)


def make_damaged(path):
    path.write_bytes(b"no database at all, but long enough to be taken for the head of one " * 4)


def make_version(version):
    def make(path):
        path.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript(f"create table footprint (model text); pragma user_version = {version};")
    return make


@pytest.mark.parametrize("make, why", [
    (make_damaged, "damaged"), (make_version(0), "schema version 0"), (make_version(7), "schema version 7")],
    ids=["damaged", "older", "newer"])
def test_a_file_that_is_not_its_own_is_put_aside(wharf, make, why):
    d = wharf(config({"a": auto("a", "3GiB")}))
    d.stop()
    make(d.state / "wharf.sqlite")
    was = (d.state / "wharf.sqlite").read_bytes()
    d.start()
    assert "put aside" in d.stderr and why in d.stderr
    assert (d.state / "wharf.sqlite.aside").read_bytes() == was
    assert not store_trouble(d)
    d.load("a")
    learned(d, "a", 3 * GIB)
    d.stop()
    assert kept(d) == {("a", "gpu"): 3 * GIB}
    d.start()
    learned(d, "a", 3 * GIB)
    assert d.stderr.count("put aside") == 1

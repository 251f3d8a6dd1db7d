"""Models that an Ollama server holds: they come, serve and go as others do, and wharf knows what is
there, whoever has loaded it."""

import signal

import pytest

from backend_harness import GIB, backends, device, until_device
from wharf_harness import Later, chat_body, content, demo, until

pytestmark = pytest.mark.slice


# ---------------------------------------------------------------- whatever server it is


def test_loads_serves_and_unloads(wharf, either):
    d = wharf(either.config())
    assert d.state_of("m") == "unloaded" and either.name not in either.loaded()
    d.load("m")
    assert either.name in either.loaded()
    assert d.ok(d.chat("m")).json()["model"] == either.name
    answer = d.ok(d.post("/wharf/models/m/unload", seconds=60)).json()
    assert answer["state"] == "unloaded" and either.name not in either.loaded()


def test_requests_load_it(wharf, either):
    d = wharf(either.config())
    events = d.events()
    assert content(d.ok(d.chat("m", seconds=120)))
    events.wait_for("model_loaded", model="m", reason="a request wants it")
    assert either.name in either.loaded()


def test_its_own_words_pass_through(wharf, either):
    d = wharf(either.config())
    answer = d.ok(d.post("/api/chat", {"model": "m", "stream": False, "messages": [
        {"role": "user", "content": "hello"}], "options": {"num_predict": 4}}, seconds=120)).json()
    assert answer["model"] == either.name and answer["done"] and answer["message"]["role"] == "assistant"
    answer = d.ok(d.post("/api/generate", {"model": "m", "stream": False, "prompt": "hello", "options": {
        "num_predict": 4}}, seconds=120)).json()
    assert answer["done"] and answer["response"]


def test_loaded_behind_wharfs_back_is_adopted(wharf, either):
    d = wharf(either.config())
    events = d.events()
    either.load()
    events.wait_for("model_loaded", model="m", reason="it was there already")
    assert d.state_of("m") == "loaded"
    d.ok(d.chat("m"))


def test_unloaded_behind_wharfs_back_is_noticed(wharf, either):
    d = wharf(either.config())
    events = d.events()
    d.load("m")
    either.evict()
    events.wait_for("model_unloaded", model="m")
    assert d.state_of("m") == "unloaded"
    d.ok(d.chat("m", seconds=120))


def test_the_daemons_end_unloads(wharf, either):
    d = wharf(either.config())
    d.load("m")
    d.stop(60)
    assert either.name not in either.loaded()


# ---------------------------------------------------------------- whose memory it is


@pytest.mark.parametrize("sizes", ["declared", "unknown"])
def test_bytes_are_not_counted_twice(wharf, world, sizes):
    """What its runner uses is the model's, and nobody else's."""
    keys = {"vram": "6GiB"} if sizes == "declared" else {}
    d = wharf(world.config({"big": world.server.model("big:8b", **keys), "p": demo("p", vram="5GiB")}))
    events = d.events()
    d.load("big")
    until_device(d, "the model's own bytes", own_bytes=6 * GIB, used_bytes=6 * GIB, foreign_bytes=0)
    # There is room for the other beside it.
    d.load("p")
    assert (d.state_of("big"), d.state_of("p")) == ("loaded", "loaded")
    v = until_device(d, "both", used_bytes=11 * GIB, foreign_bytes=0)
    assert v["own_bytes"] == 11 * GIB
    assert d.model("big")["used_bytes"] == 6 * GIB and d.model("p")["used_bytes"] == 5 * GIB
    assert events.count("model_unloaded") == 0


def test_two_models_share_an_endpoint(wharf, world):
    d = wharf(world.config())
    d.load("big")
    d.load("small")
    until_device(d, "both", own_bytes=8 * GIB, foreign_bytes=0, used_bytes=8 * GIB)
    until(lambda: d.model("big")["used_bytes"] == 6 * GIB, "big's own")
    until(lambda: d.model("small")["used_bytes"] == 2 * GIB, "small's own")
    d.ok(d.post("/wharf/models/big/unload"))
    assert d.state_of("small") == "loaded" and list(world.server.loaded()) == ["small"]
    v = until_device(d, "small alone", used_bytes=2 * GIB, foreign_bytes=0)
    assert v["own_bytes"] == 2 * GIB and d.model("small")["used_bytes"] == 2 * GIB


def test_at_once_beside_one_that_has_just_come(wharf, worlds):
    """What it uses is known to be its own as soon as it is loaded, and not a sample later: it is not
    unloaded to make room that there is."""
    world = worlds(load_s=0, warm_s=0.03)
    d = wharf(world.config())
    events = d.events()
    for _ in range(8):
        d.load("big")
        d.load("small")
        assert d.state_of("big") == "loaded"
        d.ok(d.post("/wharf/models/big/unload"))
        d.ok(d.post("/wharf/models/small/unload"))
    events.catch_up()
    assert events.count("evicted") == 0, events.summary()


def test_two_endpoints(wharf, world):
    other = world.serve()
    d = wharf(world.config({"a": world.server.model("big:8b", vram="6GiB"),
                            "b": other.model("small", vram="2GiB")}))
    d.load("a")
    d.load("b")
    until_device(d, "both", own_bytes=8 * GIB, foreign_bytes=0, used_bytes=8 * GIB)
    assert list(world.server.loaded()) == ["big:8b"] and list(other.loaded()) == ["small"]
    other.down()
    until(lambda: [x["up"] for x in backends(d)] == [True, False], "one of them down")
    d.ok(d.chat("a"))
    assert d.chat("b").status == 503


def test_memory_is_waited_for(wharf, worlds):
    """An unload is answered when the memory is free, not when Ollama says so; and nobody is loaded into
    what is not free yet."""
    world = worlds(unload_s=0.4)
    d = wharf(world.config({"big": world.server.model("big:8b", vram="7GiB"),
                            "p": demo("p", vram="7GiB")}))
    for unload in ("/wharf/models/big/unload", "/wharf/models/big/unload?force=1"):
        d.load("big")
        answer = d.ok(d.post(unload)).json()
        assert (answer["state"], answer["settling"]) == ("unloaded", False)
        assert world.used() == 0
    d.load("big")
    d.load("p")  # would run out of memory if it came a moment too early
    assert d.state_of("big") == "unloaded" and world.server.loaded() == {}
    # The way back: an engine that takes its time to go.
    d.load("big")
    assert d.state_of("p") == "unloaded"


def test_the_room_for_another_is_made_in_it(wharf, world):
    d = wharf(world.config({"big": world.server.model("big:8b", vram="6GiB"),
                            "small": world.server.model("small", vram="2GiB"),
                            "p": demo("p", vram="9GiB")}))
    d.load("big")
    d.load("small")
    d.ok(d.chat("p"))
    assert "big:8b" not in world.server.loaded()
    until_device(d, "what is left", foreign_bytes=0)
    d.ok(d.chat("big"))
    assert d.state_of("p") == "unloaded"


def test_a_stranger_is_foreign_and_listed(wharf, world):
    d = wharf(world.config())
    d.load("small")
    world.server.stranger("mine:1b", 8 * GIB)
    v = until_device(d, "somebody else's", foreign_bytes=8 * GIB)
    assert v["own_bytes"] == 2 * GIB
    until(lambda: backends(d)[0]["strangers"], "the list")
    (b,) = backends(d)
    assert b["strangers"] == [{"name": "mine:1b", "bytes": 8 * GIB, "vram_bytes": 8 * GIB}]
    assert (b["kind"], b["name"], b["up"], b["version"]) == \
        ("ollama", world.server.url, True, "0.99.1")
    assert d.model("small")["used_bytes"] == 2 * GIB
    # It is not wharf's to unload: what needs its room is told so.
    answer = d.chat("big", headers={"X-Wharf-Wait": "0"})
    assert answer.status == 503 and "mine:1b" not in answer.text, answer
    world.server.evict("mine:1b")
    until_device(d, "nobody else", foreign_bytes=0)
    until(lambda: backends(d)[0]["strangers"] == [], "no strangers")
    d.ok(d.chat("big"))


@pytest.mark.parametrize("what", ["one", "both"])
def test_what_is_loaded_at_the_start_is_adopted(wharf, world, what):
    world.server.load("big:8b")
    if what == "both":
        world.server.load("small")
    d = wharf(world.config(models={"big": world.server.model("big:8b", vram="6GiB"),
                                   "small": world.server.model("small"),
                                   "p": demo("p", vram="5GiB")}, preload=["p"]))
    d.until_model("big", state="loaded")
    own = 8 * GIB if what == "both" else 6 * GIB
    until(lambda: device(d)["used_bytes"] in (own, own + 5 * GIB), "its bytes")
    until_device(d, "nobody else's", foreign_bytes=0)
    assert d.model("big")["used_bytes"] == 6 * GIB
    if what == "both":
        until(lambda: d.model("small")["used_bytes"] == 2 * GIB, "small's")
    # Ollama would have unloaded it after five minutes.
    until(lambda: all(m["expires"] is None for m in world.server.loaded().values()), "wharf's own ttl")
    assert [c["body"].get("keep_alive") for c in world.server.calls("/api/generate")] == \
        [-1] * (2 if what == "both" else 1)
    d.ok(d.chat("p"))


def test_another_runner_in_its_place(wharf, world):
    """As Ollama has one for another num_ctx: it is the same model, and its bytes are its own."""
    d = wharf(world.config())
    events = d.events()
    d.load("big")
    d.load("small")
    until(lambda: d.model("big")["used_bytes"] == 6 * GIB, "big's own")
    world.server.restart("big:8b")
    until(lambda: d.model("big")["used_bytes"] == 6 * GIB and device(d)["foreign_bytes"] == 0 and
          device(d)["used_bytes"] == 8 * GIB, "big's own again")
    assert d.model("small")["used_bytes"] == 2 * GIB
    events.catch_up()
    assert events.count("model_unloaded") == 0
    there = {m["pid"]: name.partition(":")[0] for name, m in world.server.loaded().items()}
    until(lambda: {p["pid"]: p["model"] for p in device(d)["processes"]} == there, "whose each is")


def test_a_server_whose_processes_are_not_seen(wharf, world, forwarder):
    """Behind a proxy its processes cannot be found: what Ollama reckons is taken."""
    big = {**world.server.model("big:8b", vram="6GiB"), "endpoint": forwarder(world.server.options["port"])}
    d = wharf(world.config({"big": big, "p": demo("p", vram="5GiB")}))
    d.load("p")
    d.load("big")
    v = until_device(d, "by size", used_bytes=11 * GIB, foreign_bytes=0)
    assert v["own_bytes"] == 11 * GIB
    until(lambda: d.model("big")["used_bytes"] == 6 * GIB, "the model's own")


def test_partial_offload_is_told(wharf, world):
    world.server.spill("big:8b", 4 * GIB)
    d = wharf(world.config())
    events = d.events()
    d.load("big")
    told = events.wait_for("running_on_cpu", model="big")["details"]
    assert (told["bytes"], told["cpu_bytes"]) == (6 * GIB, 2 * GIB)
    until(lambda: d.model("big")["used_bytes"] == 4 * GIB, "what is on the GPU")
    assert "2147483648 of its 6442450944 bytes on the CPU" in d.stderr
    events.catch_up()
    assert events.count("running_on_cpu") == 1


def test_one_that_runs_on_the_cpu_is_told(wharf, world):
    world.server.spill("big:8b", 0)
    d = wharf(world.config())
    events = d.events()
    d.load("big")
    told = events.wait_for("running_on_cpu", model="big")["details"]
    assert told["device"] == "sim" and told["bytes"] == 6 * GIB
    assert device(d)["foreign_bytes"] == 0


# ---------------------------------------------------------------- requests


def test_requests_are_admitted(wharf, world):
    """wharf's queue, limits and names stand before it as before any other."""
    config = world.config({"big": world.server.model("big:8b", vram="8GiB", aliases=["vlm"],
                                                     concurrencyLimit=1),
                           "p": demo("p", vram="8GiB")})
    d = wharf(config)
    d.ok(d.chat("vlm"))
    assert world.server.calls("/v1/chat/completions")[0]["body"]["model"] == "big:8b"
    d.ok(d.chat("p"))
    assert world.server.loaded() == {}
    d.ok(d.post("/v1/chat/completions", chat_body("big")))
    assert d.state_of("p") == "unloaded"


def test_keep_alive_is_wharfs(wharf, worlds):
    world = worlds(resets=True)  # a request without it begins Ollama's own five minutes
    d = wharf(world.config({"big": world.server.model("big:8b", vram="6GiB", ttl=300)}))
    say = {"model": "big", "stream": False, "messages": [{"role": "user", "content": "hi"}]}
    d.ok(d.post("/api/chat", {**say, "keep_alive": "10m"}))
    (call,) = world.server.calls("/api/chat")
    assert call["body"] == {**say, "model": "big:8b", "keep_alive": -1}
    assert 590 < d.model("big")["idle_unload_s"] <= 600
    d.ok(d.post("/api/chat", say))
    assert 590 < d.model("big")["idle_unload_s"] <= 600  # until it is unloaded
    # OpenAI's requests have no such word: wharf says it for them.
    d.ok(d.chat("big"))
    until(lambda: world.server.loaded()["big:8b"]["expires"] is None, "no end of Ollama's own")
    answer = d.post("/api/chat", {**say, "keep_alive": 0})
    d.ok(answer)
    d.until_model("big", state="unloaded")
    assert world.server.loaded() == {}


def test_its_class_is_told_beside_it(wharf, world):
    d = wharf(world.config({"big": world.server.model("big:8b", vram="6GiB", priorityParam="rank")}))
    d.ok(d.post("/api/chat", {"model": "big", "stream": False, "keep_alive": 100, "messages": [{"role": "user", "content": "hi"}]}))
    body = world.server.calls("/api/chat")[0]["body"]
    assert (body["rank"], body["keep_alive"]) == (50, -1)


def test_ttl_is_wharfs(wharf, world):
    d = wharf(world.config({"big": world.server.model("big:8b", vram="6GiB", ttl="300ms")}))
    events = d.events()
    d.ok(d.chat("big"))
    events.wait_for("idle_unload", model="big")
    events.wait_for("model_unloaded", model="big")
    assert world.server.loaded() == {}


def test_to_load_and_to_unload_in_ollamas_words(wharf, world):
    d = wharf(world.config())
    assert d.ok(d.post("/api/generate", {"model": "big"})).json()["done_reason"] == "load"
    assert d.state_of("big") == "loaded"
    answer = d.ok(d.post("/api/generate", {"model": "big", "keep_alive": 0})).json()
    assert answer["done_reason"] == "unload"
    d.until_model("big", state="unloaded")


@pytest.mark.parametrize("size", [10, 300_000])
def test_bodies_in_ollamas_words_pass_as_they_are(wharf, world, size):
    """Words that have no counterpart in OpenAI's are no error here; large bodies neither."""
    d = wharf(world.config())
    body = {"raw": True, "template": "{{ .Prompt }}", "context": [1, 2], "prompt": "x" * size,
            "model": "big:latest" if size == 10 else "big", "stream": False}
    assert d.ok(d.post("/api/generate", body)).json()["response"] == "native: " + "x" * size
    call = world.server.calls("/api/generate")[-1]
    assert call["body"] == {**body, "model": "big:8b", "keep_alive": -1}


def test_a_selector_speaks_what_all_understand(wharf, world):
    d = wharf(world.config(selectors={"any": {"strategy": "warm", "targets": ["big"]}}))
    answer = d.post("/api/chat", {"model": "any", "stream": False,
                                  "messages": [{"role": "user", "content": "hi"}]})
    assert d.ok(answer).json()["message"]["content"] == "openai: hi"


def test_embedding_model(wharf, world):
    d = wharf(world.config({"e": world.server.model("embedder", vram="1GiB")}))
    assert d.ok(d.post("/v1/embeddings", {"model": "e", "input": "x"})).json()["data"]
    assert d.ok(d.post("/api/embed", {"model": "e", "input": "x"})).json()["embeddings"]
    assert [c["body"]["keep_alive"] for c in world.server.calls("/api/embed")] == [-1, -1]
    answer = d.ok(d.post("/wharf/models/e/unload")).json()
    assert answer["state"] == "unloaded" and world.server.loaded() == {}


def test_latest_is_implied(wharf, worlds):
    world = worlds(models={"small:latest": {"vram": 2 * GIB}})
    d = wharf(world.config({"small": {"backend": "ollama", "endpoint": world.server.url, "vram": "2GiB"}}))
    d.load("small")
    until_device(d, "its own", own_bytes=2 * GIB, foreign_bytes=0)
    assert backends(d)[0]["strangers"] == []
    d.ok(d.post("/wharf/models/small/unload"))
    world.server.load("small")
    d.until_model("small", state="loaded")


# ---------------------------------------------------------------- where it is


def test_over_a_unix_socket(wharf, worlds, tmp_path):
    world = worlds(unix=str(tmp_path / "o.sock"))
    d = wharf(world.config())
    d.load("big")
    d.ok(d.chat("big"))
    until_device(d, "its own", own_bytes=6 * GIB, foreign_bytes=0)


def test_over_tls_and_by_name(wharf, worlds, authority, certificate):
    world = worlds(tls=[str(f) for f in certificate])
    models = {"big": {**world.server.model("big:8b", vram="6GiB"),
                      "endpoint": f"https://localhost:{world.server.options['port']}/"}}
    d = wharf(world.config(models), env={"SSL_CERT_FILE": str(authority.file)})
    d.load("big")
    d.ok(d.chat("big"))
    until_device(d, "its own", own_bytes=6 * GIB, foreign_bytes=0)
    # Whom nobody vouches for is down, with the reason.
    other = wharf(world.config(models), env={"SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/dev/null"})
    why = until(lambda: backends(other)[0]["reason"], "the reason")
    assert "certificate" in why and not backends(other)[0]["up"], why


def test_another_machines_takes_no_memory_here(wharf, world):
    """Where the address is not plainly this machine's, nothing is planned for its models, until
    something is said of them."""
    url = f"http://[::ffff:127.0.0.1]:{world.server.options['port']}"
    there = {"backend": "ollama", "endpoint": url, "model": "small"}
    d = wharf(world.config({"there": there, "p": demo("p", vram="10GiB")}))
    d.load("p")
    d.load("there")
    assert d.state_of("p") == "loaded" and d.model("there")["devices"] == []
    d.reload(world.config({"there": {**there, "vram": "3GiB"}, "p": demo("p", vram="10GiB")}))
    d.load("p")
    d.load("there")
    assert d.state_of("p") == "unloaded" and d.model("there")["devices"] == ["sim"]


# ---------------------------------------------------------------- reloads


def test_reload_of_the_endpoint(wharf, world):
    other = world.serve()
    d = wharf(world.config({"m": world.server.model("small", vram="2GiB")}))
    d.load("m")
    d.reload(world.config({"m": other.model("small", vram="2GiB")}))
    d.until_model("m", state="unloaded")
    until(lambda: world.server.loaded() == {}, "the old one's end")
    d.ok(d.chat("m"))
    assert list(other.loaded()) == ["small"]
    until(lambda: [b["name"] for b in backends(d)] == [other.url], "the new one alone")


def test_numbers_stay_over_reloads(wharf, world):
    """One that is down stays so, whoever comes before it in the configuration; one that is not
    configured any more is nobody's trouble."""
    down, other = world.serve(), world.serve()
    down.down()
    first = {"z": down.model("small", vram="2GiB")}
    d = wharf(world.config(first))
    assert d.chat("z").status == 503
    events = d.events()
    d.reload(world.config({"a": other.model("small", vram="2GiB"), **first}))
    d.ok(d.chat("a"))
    assert d.chat("z").status == 503
    assert events.count("recovered") == 0
    assert [(b["name"], b["up"]) for b in backends(d)] == [(down.url, False), (other.url, True)]
    d.reload(world.config({"a": other.model("small", vram="2GiB")}))
    assert d.get("/wharf/status").json()["degradations"] == []
    d.ok(d.chat("a"))
    # Numbers of those that are gone are used again.
    for n in range(12):
        d.reload(world.config({"a": other.model("small", vram="2GiB"),
                               "x": {**down.model("small"), "endpoint": f"http://127.0.0.1:{n + 1}"}}))
        d.ok(d.chat("a"))
    assert len(backends(d)) == 2


def test_a_model_that_is_no_longer_configured_leaves(wharf, world):
    d = wharf(world.config())
    d.load("big")
    d.load("small")
    d.reload(world.config({"small": world.server.model("small", vram="2GiB")}))
    until(lambda: list(world.server.loaded()) == ["small"], "big's end")
    d.reload(world.config({"p": demo("p")}))
    until(lambda: world.server.loaded() == {}, "small's end")
    until(lambda: backends(d) == [], "nobody's server")


def test_its_server_dies_while_a_model_leaves_the_configuration(wharf, world):
    """It was the server's last model: what is thought of the server goes with it, and whoever has its
    number next is not thought of as down."""
    server, other, next_one = world.server, world.serve(), world.serve()
    a = {"a": other.model("small", vram="2GiB")}
    d = wharf(world.config({"big": server.model("big:8b", vram="6GiB"), **a}))
    d.load("big")
    server.slow(60, only="unload")
    events = d.events()
    d.reload(world.config(a))
    server.wait_call("/api/generate", 2)
    server.down()
    events.wait_for("model_unloaded", model="big")
    until(lambda: [b["name"] for b in backends(d)] == [other.url], "nobody's server")
    assert d.get("/wharf/status").json()["degradations"] == []
    d.reload(world.config({**a, "x": next_one.model("small", vram="2GiB")}))
    d.ok(d.chat("x"))


def test_a_drain_while_it_answers_late(wharf, worlds):
    world = worlds(load_s=0.5)
    d = wharf(world.config())
    loading = Later(d.post, "/wharf/models/big/load")
    world.server.wait_call("/api/generate")
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    d.stopped_on_purpose = True
    assert world.server.loaded() == {}
    loading.result()


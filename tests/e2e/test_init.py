"""`wharf init` on machines that are made up, and the daemon with what it has written."""

import ctypes
import json
import os
import pathlib
import resource
import signal
import struct
import subprocess
import sys
import threading

import pytest

import real_server
from fake_gpus import GIB, FakeGpus
from fakes.ollama import Ollama
from wharf_harness import DEMO, SECONDS, WHARF, content, free_port

NASTY = "it's a \"$HOME\" ${MODEL_ID} ${env.HOME} #1: möde\u202el.gguf"


def gguf(path, architecture="llama", tensors=3, **keys):
    """The head of a GGUF file, behind which there is nothing."""
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    pairs = [text("general.architecture") + struct.pack("<I", 8) + text(architecture)]
    for key, value in {"context_length": 4096, "block_count": 2, "embedding_length": 64,
                       "attention.head_count": 4, **keys}.items():
        pairs.append(text(f"{architecture}.{key}") + struct.pack("<II", 4, value))
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, tensors, len(pairs)) + b"".join(pairs))
    return path


class Machine:
    """A home that is empty, where nobody answers, without llama-server and GPUs."""

    def __init__(self, folder):
        self.folder, self.home, self.bin = folder, folder / "home", folder / "bin"
        for each in (self.home, self.bin, folder / "machine"):
            each.mkdir()
        self.env = {"HOME": str(self.home), "PATH": f"{self.bin}:/usr/bin:/bin",
                    "OLLAMA_HOST": f"127.0.0.1:{free_port()}", "WHARF_NVML": "no-such-library.so",
                    "WHARF_GPU_ROOT": str(folder / "machine")}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def run(self, *args, env=None, **options):
        return subprocess.run([str(WHARF), "init", *map(str, args)], cwd=self.home,
                              env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL, text=True,
                              **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                                 "timeout": 3 * SECONDS, **options})

    def init(self, *args, **options):
        """What it has written, which `wharf check` finds nothing to say about."""
        done = self.run(*args, **options)
        assert (done.returncode, done.stderr) == (0, ""), done
        check = subprocess.run([str(WHARF), "check", "wharf.yaml"], cwd=self.home, env=self.env,
                               capture_output=True, text=True, timeout=SECONDS)
        assert (check.returncode, check.stderr) == (0, ""), check
        return (self.home / "wharf.yaml").read_text()

    def found(self, *args, **options):
        """The same, as it tells programs."""
        done = self.run("--json", "--force", *args, **options)
        assert (done.returncode, done.stderr) == (0, ""), done
        return json.loads(done.stdout)

    def scripted_server(self):
        """A llama-server that keeps what it was started with, and serves as the pretended engine."""
        log = self.folder / "argv"
        server = self.bin / "llama-server"
        server.write_text(f"""#!{sys.executable} -ES
import json, os, sys
with open({str(log)!r}, "a") as f:
    f.write(json.dumps(sys.argv[1:]) + "\\n")
port = sys.argv[sys.argv.index("--port") + 1]
os.execv({str(DEMO)!r}, ["llama-server", "--port", port, "--name", "m"])
""")
        server.chmod(0o755)
        return lambda: [json.loads(line) for line in log.read_text().splitlines()]

    def files(self):
        return sorted(p.name for p in self.home.iterdir() if not p.name.startswith("."))


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def ollama(tmp_path):
    server = Ollama(tmp_path / "ollama", None, {
        "small": {"vram": 2 * GIB}, "qwen3:8b": {"vram": 6 * GIB}, "embedder": {"vram": GIB, "embeds": True}})
    yield server
    server.close()


# ---------------------------------------------------------------- what it writes works


@pytest.mark.slice
@pytest.mark.skipif(bool(real_server.why_not()), reason=real_server.why_not())
def test_a_real_model_is_served(machine, wharf):
    cache = machine.home / ".cache/llama.cpp"
    cache.mkdir(parents=True)
    (cache / "stories260K.gguf").symlink_to(real_server.GGUF)
    text = machine.init("--llama-server", real_server.SERVER)
    assert "-ngl" not in text and "GPUs: none" in text
    d = wharf(text)
    answer = d.ok(d.post("/v1/completions", {"model": "stories260k", "prompt": "Once upon a time",
                                             "max_tokens": 8, "temperature": 0})).json()
    assert answer["choices"][0]["text"].strip()


@pytest.mark.slice
def test_with_a_gpu_and_names_of_all_kinds(machine, wharf, tmp_path):
    argv = machine.scripted_server()
    gpus = FakeGpus(tmp_path, count=1)
    models = [gguf(machine.home / "models" / name) for name in (
        NASTY, "plain-Q4_0.gguf", "parts-00001-of-00002.gguf", "parts-00002-of-00002.gguf")]
    gguf(machine.home / "models/vision/eye-Q4_0.gguf")
    projector = gguf(machine.home / "models/vision/mmproj-F16.gguf", "clip")
    text = machine.init(env=gpus.env())
    assert "use: fit" in text and "NVIDIA Fake, 23.5GiB" in text
    d = wharf(text, env=gpus.env())
    ids = [m["id"] for m in d.get("/wharf/models").json()["models"]]
    assert len(ids) == 4 and {"plain", "parts", "eye"} < set(ids)
    for name in ids:
        assert content(d.ok(d.chat(name)))
    started = {words[words.index("-m") + 1]: words for words in argv()}
    assert set(started) == {*map(str, models[:3]), str(machine.home / "models/vision/eye-Q4_0.gguf")}
    for path, words in started.items():
        assert words[words.index("-ngl") + 1] == "99" and words[words.index("-c") + 1] == "4096"
        assert ("--mmproj" in words) == ("eye" in path)
    eye = started[str(machine.home / "models/vision/eye-Q4_0.gguf")]
    assert eye[eye.index("--mmproj") + 1] == str(projector)


def test_ollama_is_served(machine, wharf, ollama):
    text = machine.init("--ollama", ollama.url)
    assert "GGUF files: 0 models" in text and f"Ollama: {ollama.url}, 3 models" in text
    d = wharf(text)
    assert content(d.ok(d.chat("small"))).startswith("openai: ")
    assert content(d.ok(d.chat("qwen3:8b"))).startswith("openai: ")
    vectors = d.ok(d.post("/v1/embeddings", {"model": "embedder", "input": "x"})).json()
    assert vectors["data"][0]["embedding"]


def test_ollama_by_its_variable(machine, ollama):
    got = machine.found(env={"OLLAMA_HOST": f"0.0.0.0:{ollama.options['port']}"})
    assert got["ollama"] == ollama.url
    assert [(m["id"], m["kind"]) for m in got["models"]] == [
        ("embedder", "embeddings"), ("qwen3:8b", "chat"), ("small", "chat")]


def test_nothing_at_all(machine, wharf):
    done = machine.run()
    assert done.returncode == 0 and "--models DIR" in done.stdout and "curl" not in done.stdout
    d = wharf((machine.home / "wharf.yaml").read_text())
    assert d.get("/v1/models").json()["data"] == []


def test_without_llama_server_models_are_commented_out(machine):
    gguf(machine.home / "models/a.gguf")
    text = machine.init()
    assert "#  a:\n#    cmd:" in text and "No llama-server was found" in text
    [model] = machine.found()["models"]
    assert model["commented_out"] is True and model["id"] == "a"


# ---------------------------------------------------------------- where it looks


def test_the_caches_of_hugging_face(machine):
    """Revisions link to blobs; what two of them share is one model. A loop of links ends."""
    hub = machine.home / ".cache/huggingface/hub"
    blob = gguf(hub / "models--a--b/blobs/0123")
    for revision in ("1111", "2222"):
        folder = hub / "models--a--b/snapshots" / revision
        folder.mkdir(parents=True)
        (folder / "shared-Q4_0.gguf").symlink_to("../../blobs/0123")
        (folder / "loop").symlink_to("../..")
    (hub / "models--a--b/snapshots/2222/gone.gguf").symlink_to("../../blobs/4567")
    got = machine.found()
    [model] = [m for m in got["models"] if str(hub) in m["path"]]
    assert model["path"].endswith("snapshots/1111/shared-Q4_0.gguf")
    assert (model["id"], model["context"], model["bytes"]) == ("shared", 4096, blob.stat().st_size)
    assert any("gone.gguf" in note for note in got["left_out"])


def test_where_it_is_told_to_look(machine):
    gguf(machine.home / "models/not-here.gguf")
    gguf(machine.home / "one/a.gguf")
    gguf(machine.home / "two/deep/er/b.gguf", "bert", pooling_type=2)
    gguf(machine.home / "two/vocab.gguf", tensors=0)
    (machine.home / "two/text.gguf").write_text("no model")
    got = machine.found("--models", "one", "--models", machine.home / "two")
    assert {m["id"]: m["kind"] for m in got["models"]} == {"a": "chat", "b": "embeddings"}
    assert len(got["left_out"]) == 2 and got["file"] == "wharf.yaml" and got["llama_server"] is None


def drop_powers():
    """root reads what nobody may, unless it gives up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


def test_folders_that_cannot_be_read(machine):
    gguf(machine.home / "models/a.gguf")
    closed = gguf(machine.home / "models/closed/b.gguf").parent
    secret = gguf(machine.home / "models/secret.gguf")
    closed.chmod(0)
    secret.chmod(0)
    got = machine.found(preexec_fn=drop_powers)
    assert [m["id"] for m in got["models"]] == ["a"]
    assert sorted(got["left_out"]) == [f"{closed}: Permission denied", f"{secret}: Permission denied"]
    # Where it was told to look, that is an error.
    done = machine.run("--models", closed, "--force", preexec_fn=drop_powers)
    assert (done.returncode, done.stderr) == (1, f"wharf: --models {closed}: Permission denied\n")
    closed.chmod(0o700)


def test_a_driver_that_hangs(machine, tmp_path):
    gpus = FakeGpus(tmp_path)
    gpus.set(hang="nvmlInit_v2")
    got = machine.found(env=gpus.env())
    assert got["gpus"] == [] and got["gpu_problem"] == "their driver does not answer"


def test_what_answers_is_no_ollama(machine, upstream):
    u = upstream(lambda peer, _: (peer.request(), peer.answer('{"models": "none"}')))
    url = f"http://127.0.0.1:{u.port}"
    got = machine.found(env={"OLLAMA_HOST": url})
    assert got["ollama"] is None and "does not list models" in got["left_out"][0]
    done = machine.run("--ollama", url, "wharf2.yaml")
    assert done.returncode == 1 and "does not list models" in done.stderr
    assert machine.files() == ["wharf.yaml"]


# ---------------------------------------------------------------- the file


def test_a_file_that_is_there_stays(machine):
    file = machine.home / "wharf.yaml"
    machine.init()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("mine")
    done = machine.run()
    assert done.returncode == 1 and "--force" in done.stderr and file.read_text() == "mine"
    # What is replaced keeps its mode, and a link to it stays one.
    file.chmod(0o644)
    (machine.home / "link.yaml").symlink_to("wharf.yaml")
    assert machine.run("--force", "link.yaml").returncode == 0
    assert (machine.home / "link.yaml").is_symlink()
    assert "models:" in file.read_text() and file.stat().st_mode & 0o777 == 0o644
    assert machine.files() == ["link.yaml", "wharf.yaml"]


def test_stdout(machine):
    done = machine.run("-")
    assert done.returncode == 0 and "\nmodels:\n" in done.stdout and machine.files() == []


@pytest.mark.parametrize("args, status, said", [
    (["-", "--json"], 2, "exclude each other"),
    (["--listen", "nowhere"], 2, "--listen"),
    (["a", "b"], 2, "wharf: "),
    (["--model", "x"], 2, "did you mean '--models'"),
    (["--models"], 2, "needs a value"),
    (["--models", "/no/such/folder"], 1, "No such file"),
    (["--models", "/dev/null"], 1, "Not a directory"),
    (["--llama-server", "/no/such/program"], 1, "No such file"),
    (["--llama-server", "/dev/null"], 1, "Permission denied"),
    (["--ollama", "nobody here"], 1, "Ollama"),
    (["--ollama", "127.0.0.1:9"], 1, "nobody answers"),
    (["/no/such/folder/wharf.yaml"], 1, "No such file"),
    (["--force", "/dev/full"], 1, "no regular file"),
    (["--force", "/tmp"], 1, "no regular file")])
def test_what_cannot_be(machine, args, status, said):
    done = machine.run(*args)
    assert done.returncode == status and said in done.stderr, done
    assert json.loads(done.stdout)["error"]["code"] == "usage" if "--json" in args else not done.stdout
    assert machine.files() == []


def test_a_full_disk(machine):
    with open("/dev/full", "w") as full:
        done = machine.run("-", stdout=full)
    assert done.returncode == 1 and "No space left" in done.stderr

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))

    done = machine.run(preexec_fn=small_files)
    assert done.returncode == 1 and "cannot write wharf.yaml: File too large" in done.stderr
    assert machine.files() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_search_leaves_nothing(machine, upstream, number):
    asked = threading.Event()

    def silent(peer, _):
        peer.request()
        asked.set()
        peer.is_closed()

    url = f"http://127.0.0.1:{upstream(silent).port}"
    process = subprocess.Popen([str(WHARF), "init", "--ollama", url], cwd=machine.home, env=machine.env,
                               stdin=subprocess.DEVNULL)
    try:
        assert asked.wait(SECONDS)
        process.send_signal(number)
        assert process.wait(SECONDS) == -number
    finally:
        process.kill()
        process.wait()
    assert machine.files() == []

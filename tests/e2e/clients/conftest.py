"""What the tests of the official clients have in common: daemons behind a key, and clients for them.

A file's daemon serves the pretended engine, and a real llama-server where there is one; fixtures
that are named `*_client` make a client, whose options are those of the client itself."""

import pytest

import real_server
from wharf_harness import SECONDS, Daemon, demo

KEY = "key-of-the-clients"
KEYS = {"Authorization": f"Bearer {KEY}"}


def config():
    models = {
        "demo": demo("demo", aliases=["gpt-4o"]),
        # Answers for an hour, one client at a time: for those that leave, or come meanwhile.
        "endless": demo("endless", "--tokens", 360000, "--token-delay", "10ms", concurrencyLimit=1,
                        maxQueue=1),
        # Its answers are no HTTP: 502, and no better the next time.
        "garbled": demo("garbled", "--bad-head"),
        "broken": {"cmd": "sh -c 'echo no such file; exit 1'", "proxy": "http://127.0.0.1:9"},
    }
    if not real_server.why_not():
        models["llama"] = real_server.model("llama")
    return {"apiKeys": [KEY], "models": models,
            "groups": {"together": {"swap": False, "members": list(models)}}}


class KeyedDaemon(Daemon):
    """A daemon whose own tests have its key."""

    key = KEY

    def ask(self, method, path, body=None, headers=None, seconds=SECONDS):
        return super().ask(method, path, body, {**KEYS, **(headers or {})}, seconds)

    def events(self, **options):
        return super().events(headers=KEYS, **options)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    running = KeyedDaemon(tmp_path_factory.mktemp("clients"), config())
    yield running
    running.finish()


@pytest.fixture(autouse=True)
def shared_daemon_in_reports(request):
    if "daemon" in request.fixturenames:
        request.node.daemons = [request.getfixturevalue("daemon")]


@pytest.fixture(params=["demo", "llama"])
def model(request):
    """A model of the pretended engine, and of a real server."""
    if request.param == "llama" and real_server.why_not():
        pytest.skip(real_server.why_not())
    return request.param


@pytest.fixture
def says():
    """says(model, text, prompt): what it answered is what is to be expected of it."""
    def check(model, text, prompt):
        if model == "demo":
            assert text == f"demo-model demo says: {prompt}"
        else:
            assert len(text) > 5
        return True
    return check


@pytest.fixture
def openai_client(daemon):
    openai = pytest.importorskip("openai", reason="the Python package openai is not installed")
    clients = []

    def make(**options):
        clients.append(openai.OpenAI(**{"base_url": f"{daemon.url}/v1", "api_key": KEY,
                                        "max_retries": 0, "timeout": 3 * SECONDS, **options}))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def anthropic_client(daemon):
    anthropic = pytest.importorskip("anthropic",
                                    reason="the Python package anthropic is not installed")
    clients = []

    def make(**options):
        clients.append(anthropic.Anthropic(**{"base_url": daemon.url, "api_key": KEY,
                                              "max_retries": 0, "timeout": 3 * SECONDS, **options}))
        return clients[-1]

    yield make
    for client in clients:
        client.close()

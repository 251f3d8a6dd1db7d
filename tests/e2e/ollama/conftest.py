"""Fixtures of the tests of Ollama's API."""

import pytest

from ollama_harness import Scripted


@pytest.fixture
def scripted(wharf, upstream):
    """(daemon, its model's scripted server); the model is called m, and tagged:7b."""
    s = Scripted(upstream)
    d = wharf({"models": {"m": s.server.model(), "tagged:7b": s.server.model(),
                          "late:latest": s.server.model()},
               "groups": {"all": {"swap": False, "members": ["m", "tagged:7b", "late:latest"]}}})
    return d, s

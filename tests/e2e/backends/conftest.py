"""Fixtures of the tests of models that others hold."""

import pytest

from backend_harness import World


@pytest.fixture
def worlds(tmp_path):
    """worlds(**options of Ollama) → a World."""
    made = []

    def make(**options):
        made.append(World(tmp_path / f"world{len(made)}", **options))
        return made[-1]

    yield make
    for w in made:
        w.close()


@pytest.fixture
def world(worlds):
    return worlds()

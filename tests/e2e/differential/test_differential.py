"""wharf answers as llama-swap does, but for what differences.py knows. $WHARF_LLAMA_SWAP is the
program to compare with."""

import os
from functools import partial

import pytest

import differences
from cases import CASES
from compare import Finding, run
from sides import LlamaSwap, Pairs, Wharf

PROGRAM = os.environ.get("WHARF_LLAMA_SWAP")
if not PROGRAM:
    pytest.skip("$WHARF_LLAMA_SWAP names no llama-swap", allow_module_level=True)


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """{case: what differs}, llama-swap's on the left."""
    with Pairs(tmp_path_factory.mktemp("differential"), partial(LlamaSwap, PROGRAM), Wharf) as pairs:
        yield {case.name: ask_both(pairs, case) for case in CASES}


def ask_both(pairs, case):
    """A case that one of them does not even answer is a finding like others."""
    try:
        return run(pairs, case)
    except (AssertionError, OSError) as e:
        return [Finding(case.name, "no answer", repr(e), None)]


@pytest.mark.parametrize("name", [c.name for c in CASES])
def test_only_known_differences(findings, name):
    unknown = [f for f in findings[name] if not differences.explains(f)]
    assert not unknown, "\n".join(
        f"{f.place}: llama-swap {f.left!r:.300}, wharf {f.right!r:.300}" for f in unknown)


@pytest.mark.parametrize("known", differences.KNOWN, ids=[k.heading for k in differences.KNOWN])
def test_a_known_difference_is_still_one(findings, known):
    assert any(known in differences.explains(f) for found in findings.values() for f in found)

"""docs/llama-swap.md leaves nothing out: every key, flag and path has its row, every difference that is
spoken of its heading, and every test that is named is there."""

import ast
import re
import subprocess
import types

import pytest

from test_3_routes import OWN, WITH_BODY, WITH_QUERY
from test_map import exists
from wharf_harness import ROOT, WHARF

DOCUMENT = ROOT / "docs/llama-swap.md"
DIFFERENCES = ROOT / "tests/e2e/differential/differences.py"
WORDS = {"same", "better", "different", "own"}


def load_gen_docs():
    """The tool that writes the other documents knows how to read the tables of src/."""
    module = types.ModuleType("gen_docs")
    module.__file__ = str(ROOT / "tools/gen-docs")
    exec(compile((ROOT / "tools/gen-docs").read_text(), module.__file__, "exec"), module.__dict__)
    return module


GEN = load_gen_docs()


def section(title):
    return DOCUMENT.read_text().split(f"\n## {title}\n", 1)[1].split("\n## ")[0]


def rows(title):
    """(first cell, second cell, all of the row) of each row of the section's tables."""
    found = []
    for line in re.findall(r"^\| .*$", section(title), re.M):
        cells = [c.strip() for c in line.split("|")]
        if cells[1] not in ("", "key", "flag", "path", "what"):
            found.append((cells[1], cells[2], line))
    return found


def named(title):
    """What stands in backticks in the first column."""
    return [name for first, _, _ in rows(title) for name in re.findall(r"`([^`]+)`", first)]


def headings():
    return re.findall(r"^### (.+)$", section("Differences"), re.M)


def keys_of_the_table():
    found = GEN.rows("src/config/settings.def", "SCOPE", "SETTING", "CHOICE", "NEST", "NEST_OR")
    scopes = {a[0]: a[1] for macro, a in found if macro == "SCOPE"}
    return {".".join(x for x in (scopes[a[0]], a[1]) if x) for macro, a in found if macro != "SCOPE"}


def test_every_key_has_its_row():
    known, told = keys_of_the_table(), set(named("Keys"))
    assert sorted(known - told) == []
    others = {"${env.NAME}", "${PORT}", "${PID}", "${MODEL_ID}", "-watch-config"}
    assert sorted(told - known - others) == [], "rows of keys that there are not"


def test_every_flag_has_its_row():
    text = subprocess.run([str(WHARF), "llama-swap", "--help"], capture_output=True, text=True, check=True).stdout
    flags = {"-" + f for f in re.findall(r"^\s+(?:-\w, )?--([\w-]+)", text.split("Options:")[1], re.M)}
    assert len(flags) > 7
    assert sorted(flags - set(named("Command line"))) == []


def routes():
    """METHOD PATH of what goes to models and of llama-swap's own, as tables and document have them."""
    files = ["src/api/routes_openai.c", "src/api/routes_models.c", "src/api/routes_llamaswap.c"]
    methods = {"BODY": "POST", "CHAT": "POST", "BODY_SKIP": "POST", "ANTHROPIC": "POST", "QUERY": "GET", "COMFYUI": "ANY"}
    found = {f"{methods[macro]} {a[0]}" for macro, a in GEN.rows_of(files, *methods)}
    found |= {f"{a[0]} {a[1]}" for _, a in GEN.rows_of(files, "LOCAL", "OPEN")}
    return found | {"ANY /upstream/*"}


def test_every_path_has_its_row():
    known, told = routes(), {n for n in named("Paths") if "/" in n and " " in n}
    assert len(known) > 60
    assert sorted(known - told) == []
    assert sorted(told - known) == [], "rows of paths that there are not"


def test_llama_swaps_paths_are_not_wharfs_own():
    own = {name for first, word, _ in rows("Paths") if word == "own" for name in re.findall(r"`([^`]+)`", first)}
    theirs = {"POST " + p for p in WITH_BODY} | {"GET " + p for p in WITH_QUERY}
    theirs |= {"%s %s" % (method, path) for method, path, _, _ in OWN}
    assert own and not own & theirs


@pytest.mark.parametrize("title", ["Keys", "Command line", "Paths"])
def test_words(title):
    assert len(rows(title)) > 10
    for first, word, line in rows(title):
        assert word in WORDS, first
        assert word != "different" or "](#" in line, f"{first}: no reason"


def test_links_lead_somewhere():
    text = DOCUMENT.read_text()
    anchors = {h.lower().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.M)}
    assert sorted(set(re.findall(r"\]\(#([^)]+)\)", text)) - anchors) == []
    for path in re.findall(r"\]\(([^#)]+)\)", text):
        assert (DOCUMENT.parent / path).exists(), path


def test_headings():
    assert len(headings()) == len(set(headings()))
    for heading in headings():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", heading), heading
        reason = section("Differences").split(f"### {heading}\n", 1)[1].split("\n### ")[0].strip()
        assert reason.endswith(".") and len(re.findall(r"[.;:]\s", reason)) >= 1, heading


def test_all_45_points():
    assert [first for first, _, _ in rows("What was weak in it")] == [str(n) for n in range(1, 46)]
    for first, _, line in rows("What was weak in it"):
        here = line.split("|")[3].strip()
        assert re.match(r"(mended|kept|not applicable)\b", here), first


def test_every_test_that_is_named_exists():
    for first, _, line in rows("What was weak in it"):
        tests = re.findall(r"`([\w/]+::\w+|(?:golden|bench)/\w+)`", line.split("|")[4])
        assert tests, first
        assert [t for t in tests if not exists(t)] == []


def headings_meant_by(source):
    """Those of llama-swap.md#NAME in a text, and those of Known("NAME", …)."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= set(re.findall(r"llama-swap\.md#([\w-]+)", node.value))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Known":
            names.add(ast.literal_eval(node.args[0]))
    return names


def test_headings_that_are_meant():
    source = """
KNOWN = [Known("one", ["five"], ""), Known("two-words", [], "six")]
say("see docs/llama-swap.md#three", other="four")
"""
    assert headings_meant_by(source) == {"one", "two-words", "three"}


def test_differences_of_the_differential_suite_have_headings():
    if not DIFFERENCES.exists():
        pytest.skip("there is no differential suite")
    names = headings_meant_by(DIFFERENCES.read_text())
    assert names, "it names no difference"
    assert sorted(names - set(headings())) == []

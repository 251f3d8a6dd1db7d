"""The manual pages, as mandoc reads them, and what `make install` puts where man and the shells look.
That they say what the tables say is looked at by tests/tidy, through tools/gen-docs."""

import json
import re
import shutil
import subprocess

import pytest

from wharf_harness import BUILD, ROOT, SECONDS, WHARF

PAGES = sorted((ROOT / "docs/man").glob("*.[1-8]"))


def described():
    return json.loads(subprocess.run([str(WHARF), "help", "--json"], check=True, capture_output=True, text=True,
                                     timeout=SECONDS).stdout)


@pytest.fixture(scope="module")
def mandoc():
    found = shutil.which("mandoc")
    assert found, "mandoc is not installed: tools/deps test"
    return found


def is_about_others(message):
    """Whether mandoc complains of what is installed here, and not of the page."""
    missing = re.search(r"referenced manual not found: Xr (\S+) (\d)", message)
    if not missing:
        return "outdated mandoc.db" in message
    name, section = missing.groups()
    return not name.startswith(("wharf", "libwharf")) or (ROOT / f"docs/man/{name}.{section}").exists()


def complaints(mandoc, *pages):
    run = subprocess.run([mandoc, "-T", "lint", *map(str, pages)], capture_output=True, text=True, timeout=SECONDS)
    return [line for line in (run.stdout + run.stderr).splitlines() if not is_about_others(line)]


def test_mandoc_has_no_complaint(mandoc):
    assert len(PAGES) > 25
    assert complaints(mandoc, *PAGES) == []


@pytest.mark.parametrize("wrong", [".Fl x Sh\n.Sh NAME\n", "One. Two.\n", "x " * 50 + "\n", ".Xr wharf-nothing 1\n",
                                   ".Nonsense\n"])
def test_mandoc_would_complain(mandoc, tmp_path, wrong):
    page = tmp_path / "wharf.1"
    page.write_text((ROOT / "docs/man/wharf.1").read_text() + wrong)
    assert complaints(mandoc, page)


def rendered(mandoc, name):
    text = subprocess.run([mandoc, "-T", "utf8", str(ROOT / "docs/man" / name)], check=True, capture_output=True,
                          text=True, timeout=SECONDS).stdout
    return re.sub(r"\s+", " ", re.sub(".\b", "", text))


def test_what_a_page_shows(mandoc):
    """Every option and its text, whatever characters are in them."""
    for c in described()["commands"]:
        text = rendered(mandoc, f"wharf-{c['name']}.1")
        for option in c["options"]:
            assert f"--{option['name']}" in text, (c["name"], option["name"])
            if "`" not in option["help"]:
                # Of sentences two spaces apart, and hyphens at the ends of lines.
                assert re.sub(r"\W", "", option["help"]) in re.sub(r"\W", "", text), (c["name"], option["name"])
        for example in c["examples"]:
            assert example["command"] in text
        for number, meaning in c["statuses"]:
            assert f"{number} {meaning[0].upper()}" in text, (c["name"], number)


def test_the_overview_names_all(mandoc):
    text, found = rendered(mandoc, "wharf.1"), described()
    for c in found["commands"]:
        assert text.count(f"wharf-{c['name']}(1)") >= 2  # in the list, and to be seen also
    assert [number for number, _ in found["statuses"]] == [0, 1, 2, 69, 75, 126, 127]


def test_the_configuration(mandoc):
    text = rendered(mandoc, "wharf.yaml.5")
    settings = (ROOT / "src/config/settings.def").read_text()
    keys = set(re.findall(r"^(?:SETTING|CHOICE|NEST|NEST_OR)\(\w+, *(\w+),", settings, re.M))
    assert len(keys) > 100 and not {key for key in keys if not re.search(rf"\b{key}\b", text)}


def test_install(tmp_path):
    subprocess.run(["meson", "install", "--no-rebuild", "--quiet", "-C", str(BUILD), "--destdir", str(tmp_path)],
                   check=True, capture_output=True, timeout=6 * SECONDS)
    installed = {path.name: path for path in tmp_path.rglob("*") if path.is_file()}

    def place(name):
        return "/".join(installed[name].parts[-3:])
    for page in PAGES:
        assert place(page.name) == f"man/man{page.suffix[1:]}/{page.name}"
    assert installed["_wharf"].parts[-4:] == ("share", "zsh", "site-functions", "_wharf")
    assert installed["wharf.fish"].parts[-4:] == ("share", "fish", "vendor_completions.d", "wharf.fish")
    (bash,) = tmp_path.rglob("bash-completion/completions/wharf")
    for shell, path in (("bash", bash), ("zsh", installed["_wharf"]), ("fish", installed["wharf.fish"])):
        run = subprocess.run([str(WHARF), "completion", shell], check=True, capture_output=True, text=True)
        assert path.read_text() == run.stdout
    assert {f"wharf-{c['name']}.1" for c in described()["commands"]} <= set(installed)

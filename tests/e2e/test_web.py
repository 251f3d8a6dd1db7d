"""The page at /ui, in a real browser: tests/web/page.mjs drives it. All in one test here: what it is made of
shares a browser and a daemon, and workers would each begin anew. WHARF_WEB_LONG=1: in each theme at each width.

Pictures of what was seen are in build/web-shots. tools/node installs what drives the browser."""

import http.server
import os
import re
import shutil
import subprocess
import threading

import pytest

from wharf_harness import BUILD, ROOT, SECONDS, SLOWNESS, demo, free_port

SCRIPT = ROOT / "tests/web/page.mjs"
PACKAGES = ROOT / "build/node"
SHOTS = ROOT / "build/web-shots"
KEY = "key-of-the-page"
LINES = r"printf '\033[31mred words\033[0m\nother line\nand plain ones\n'"


def names():
    """Those of the template, which are made of a width and a theme each, are one here."""
    return re.findall(r'^test\("([^"]+)"', SCRIPT.read_text(), re.M) + ["all parts at "]


def browser():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def why_not():
    if shutil.which("node") is None:
        return "there is no Node.js (Debian: nodejs)"
    if browser() is None:
        return "there is no browser (Debian: chromium)"
    if not (PACKAGES / "node_modules/playwright-core").is_dir():
        return "the npm packages are not installed: tools/node does that, and says why it cannot"
    if not (ROOT / "build/web/dist/index.html").is_file():
        return "the page was not built: tools/web does that, and says why it cannot"
    return ""


pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


def config():
    painted = demo("painted", vram="1GiB")
    return {
        "gpus": [{"sim": {"name": "Sim 24G", "memory": "24GiB"}, "sample": "50ms", "reserve": "1GiB"}],
        "classes": {"normal": {"maxWait": "1h"}},
        "modes": {"work": {"small": "loaded"}},
        "models": {
            "small": demo("small", "--load-time", "200ms", "--token-delay", "20ms", vram="8GiB"),
            "medium": demo("medium", "--load-time", "200ms", vram="14GiB"),
            "large": demo("large", "--load-time", "200ms", vram="20GiB"),
            "endless": demo("endless", "--tokens", 360000, "--token-delay", "50ms", vram="20GiB"),
            "mover": {**demo("mover"), "devices": {"cuda": {"vram": "1GiB"}, "cpu": {}}},
            "painted": {**painted, "cmd": f"/bin/sh -c \"{LINES}; exec {painted['cmd']}\""},
        },
    }


class Control:
    """Ends and starts the daemon for the script."""

    def __init__(self, daemon):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                {"/kill": daemon.kill, "/start": daemon.start}[self.path]()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def drive(daemon, locked, control):
    """{test: what went wrong, or ""}, and what the script printed."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "WHARF_URL": daemon.url, "WHARF_LOCKED": locked.url, "WHARF_KEY": KEY,
           "WHARF_NODE": str(PACKAGES), "WHARF_CHROMIUM": browser(), "WHARF_CONTROL": control.url,
           "WHARF_SHOTS": str(SHOTS), "WHARF_SLOWNESS": str(SLOWNESS)}
    run = subprocess.run(["node", "--test-reporter=tap", str(SCRIPT)], env=env, stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=30 * SECONDS)
    results = re.split(r"^(?=(?:not )?ok \d+ - )", run.stdout, flags=re.M)[1:]
    found = {re.match(r"(?:not )?ok \d+ - (.*)", r)[1]: r if r.startswith("not ") else "" for r in results}
    return found, run.stdout + run.stderr


@pytest.mark.timeout(40 * SECONDS)
def test_page(wharf):
    daemon = wharf(config(), listen=f"127.0.0.1:{free_port()}")
    locked = wharf({"apiKeys": [KEY], "models": {"m": demo("m")}})
    control = Control(daemon)
    try:
        found, printed = drive(daemon, locked, control)
    finally:
        control.close()
    missing = [n for n in names() if not any(f.startswith(n) for f in found)]
    assert not missing, printed
    wrong = [text for text in found.values() if text]
    assert not wrong, "\n".join(wrong)


def test_embedded():
    """What is served is what was built last."""
    page = (ROOT / "build/web/dist/index.html").read_text()
    script = re.search(r"assets/(index-[\w-]+\.js)", page)[1]
    assert script.encode() in (BUILD / "wharf").read_bytes()


def test_types():
    run = subprocess.run(["node", "node_modules/typescript/bin/tsc", "--noEmit", "-p", "."], cwd=ROOT / "build/web",
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stdout

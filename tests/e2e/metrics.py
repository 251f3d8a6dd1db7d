"""/metrics as tests read it, the table that it is made of, and a Prometheus that scrapes it.

    read(d) -> Metrics: m.value("wharf_requests_total", model="a"), m.series, m.types
"""

import contextlib
import json
import re
import runpy
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from wharf_harness import POLL_S, ROOT, SECONDS, free_port

sys.path.insert(0, str(ROOT / "tools"))
GEN_DOCS = runpy.run_path(str(ROOT / "tools/gen-docs"), run_name="gen_docs")
TABLE = "src/server/metrics/metrics.def"
# name: (type, its labels)
ROWS = {a[0]: ("histogram" if macro == "HISTOGRAM" else a[1], [name for name in a[2].split(",") if name])
        for macro, a in GEN_DOCS["rows"](TABLE, "METRIC", "HISTOGRAM")}
SUFFIXES = ("_bucket", "_sum", "_count")
SAMPLE = re.compile(r'([a-z_0-9:]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[n"\\])*",?)+)\})? ([-0-9.]+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
ESCAPED = {r"\n": "\n", r"\"": '"', r"\\": "\\"}


def family(name):
    """The row that a sample's name belongs to."""
    for suffix in SUFFIXES:
        if name.endswith(suffix) and ROWS.get(name.removesuffix(suffix), ("",))[0] == "histogram":
            return name.removesuffix(suffix)
    return name


class Metrics:
    def __init__(self, text):
        self.text, self.types, self.helps, self.order = text, {}, {}, []
        self.series = {}  # (name, frozenset of labels): value
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# "):
                _, what, name, rest = line.split(" ", 3)
                known = {"HELP": self.helps, "TYPE": self.types}[what]
                assert name not in known, f"{what} of {name} twice"
                known[name] = rest
                continue
            match = SAMPLE.fullmatch(line)
            assert match, line
            labels = {k: re.sub(r"\\.", lambda m: ESCAPED[m[0]], v) for k, v in LABEL.findall(match[2] or "")}
            key = (match[1], frozenset(labels.items()))
            assert key not in self.series, f"twice: {line}"
            self.series[key] = float(match[3])
            if not self.order or self.order[-1] != family(match[1]):
                self.order.append(family(match[1]))

    def of(self, name, /, **labels):
        """{labels: value} of the samples of that name that have these labels."""
        return {key: value for (n, key), value in self.series.items() if n == name and labels.items() <= set(key)}

    def value(self, name, /, **labels):
        """Their sum; 0 where there is none."""
        return sum(self.of(name, **labels).values())


def read(d, headers=None):
    return Metrics(d.ok(d.get("/metrics", headers)).text)


def promtool(*args, **options):
    """(exit status, what it said); None: it is not installed."""
    path = shutil.which("promtool")
    if not path:
        return None
    run = subprocess.run([path, *map(str, args)], capture_output=True, text=True, timeout=3 * SECONDS, **options)
    return run.returncode, run.stdout + run.stderr


class Prometheus:
    """One of its own, on loopback, which scrapes these addresses each half second."""

    def __init__(self, folder, targets, rules=(), key=None):
        self.port = free_port()
        scrape = {"job_name": "wharf", "static_configs": [{"targets": targets}],
                  **({"authorization": {"credentials": key}} if key else {})}
        config = {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
                  "rule_files": [str(path) for path in rules], "scrape_configs": [scrape]}
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        self.log = open(folder / "prometheus.log", "w+")
        self.process = subprocess.Popen(
            [shutil.which("prometheus"), f"--config.file={folder}/prometheus.yml",
             f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def ask(self, path, **query):
        """The answer's data, or the error as a text; None: it does not answer yet."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as e:
            with contextlib.suppress(ValueError):
                return json.load(e)["error"]
            return None
        except OSError:
            assert self.process.poll() is None, "Prometheus has ended"
            return None

    def query(self, expr):
        found = self.ask("query", query=expr)
        return found if found is None or isinstance(found, str) else found["result"]

    def until(self, expr, seconds=3 * SECONDS):
        """What it says, once it is something."""
        deadline = time.monotonic() + seconds
        while not (found := self.query(expr)) or isinstance(found, str):
            assert time.monotonic() < deadline, f"{expr}: {found}"
            time.sleep(POLL_S)
        return found

"""llama-swap's configuration rules, one row each: what wharf says about a file (sections are those
of llama-swap's behaviour, 2.2 on). Rows: rule, file, and what comes of it:

    ""                it loads, and nothing is said
    "warning: WORDS"  it loads, and one of the warnings has these words
    "error: WORDS"    it does not load, and one of the errors has these words
    "= LINE"          it loads, and `wharf check --print` has this line; several with a list

Names that stand for several models, groups and the matrix are in test_2_names.py."""

import os
import subprocess

import pytest

from wharf_harness import SECONDS, WHARF


def model(keys="", cmd="x ${PORT}"):
    return "models:\n  m: {cmd: '%s'%s}\n" % (cmd, ", " + keys if keys else "")


def run_check(text, folder, *flags, **env):
    path = folder / "config.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    run = subprocess.run([str(WHARF), "check", str(path), *flags], capture_output=True, text=True,
                         timeout=SECONDS, env={**os.environ, **env}, cwd=folder)
    return run.returncode, run.stdout, run.stderr.replace(str(path), "FILE")


def expect(text, wanted, folder, **env):
    status, _, said = run_check(text, folder, **env)
    wanted = [wanted] if isinstance(wanted, str) else wanted
    for want in wanted:
        kind, _, words = want.partition(" ")
        if kind == "error:":
            assert status == 2, said or "it loaded"
            assert any(" error: " in line and words in line for line in said.splitlines()), said
            continue
        assert status == 0, said
        if kind == "warning:":
            assert any(" warning: " in line and words in line for line in said.splitlines()), said
        elif kind == "=":
            printed = run_check(text, folder, "--print", **env)[1]
            assert words in [line.strip() for line in printed.splitlines()], printed
        else:
            assert said == ""


YAML = [
    ("an empty file is valid", "", ""),
    ("comments only", "# nothing\n", ""),
    ("unknown keys are no errors", "modells: {}\n", "warning: did you mean 'models'"),
    ("anchors and merges, also from unknown top-level keys",
     "defs: &d {ttl: 5}\nmodels: {m: {<<: *d, cmd: 'x ${PORT}'}}\n", ["", "= ttl: 5s"]),
    ("a key twice", "startPort: 1\nstartPort: 2\n", "error: stands here twice"),
    ("only the first document counts", "startPort: 7000\n---\n{bad: [\n", "warning: second YAML document"),
    ("the top level is a mapping", "- a\n", "error: top level"),
    ("any scalar is a text", model("name: 1.50, description: true"),
     ['= name: "1.50"', '= description: "true"']),
    ("a quoted number is no number", "startPort: '5800'\n", "error: without quotes"),
    ("floats lose their fraction", model("concurrencyLimit: 3.9"), "= concurrencyLimit: 3"),
    ("y, Y, yes and on are true", model("unlisted: y"), "= unlisted: true"),
    ("yes in quotes as well", model("unlisted: 'yes'"), "= unlisted: true"),
    ("n, N, no and off are false", model("unlisted: N"), "= unlisted: false"),
    ("null leaves a default", model("ttl: ~, unlisted: null"), "= ttl: 0"),
    ("null empties a list", "ui: {activity: {session_id: ~}}\n", "= session_id: []"),
    ("durations have units", "performance: {every: 1m30s}\n", "= every: 90s"),
    ("a bare number is no duration", "performance: {every: 10}\n", "error: with its unit"),
    ("keys of free data that are no texts (500 at each request there)",
     model("metadata: {1: a, true: b}, filters: {setParams: {2: c}}"),
     ["", '= metadata: {"1":"a","true":"b"}', '= "2": "c"']),
    ("null empties a mapping and a list", model("env: ~, aliases: , filters: ~, metadata: null"),
     ""),
    ("ids that are numbers (lost there)", "models: {123: {cmd: 'x ${PORT}'}}\n", '= "123":'),
]

ENV = [
    ("set", "state: ${env.W_SET}\n", '= state: "value"'),
    ("not set", "state: ${env.W_NONE}\n", "error: 'W_NONE'"),
    ("empty is allowed", "state: a${env.W_EMPTY}b\n", '= state: "ab"'),
    ("not set, in a comment", "# ${env.W_NONE}\n", ""),
    ("not set, in a line of a block", "models:\n  m:\n    cmd: |\n      # ${env.W_NONE}\n      x ${PORT}\n",
     "error: 'W_NONE'"),
    ("a line break in it", "state: ${env.W_LINES}\n", "error: line break"),
    ("in a flow list", "apiKeys: [${env.W_SET}]\n", '= apiKeys: ["***"]'),
    ("in a macro's value", "macros: {a: '${env.W_SET}'}\nstate: ${a}\n", '= state: "value"'),
    ("backslashes stay as they are (9.34)", "state: ${env.W_ODD}\n", '= state: "a\\\\b\\"c"'),
]

MACROS = [
    ("no mapping", "macros: [a]\n", "error: must be a mapping"),
    ("name too long", "macros: {%s: 1}\n" % ("a" * 64), "error: longer than 63"),
    ("name with another character", "macros: {a.b: 1}\n", "error: may only have"),
    ("PID is reserved", "macros: {PID: 1}\n", "error: reserved"),
    ("PORT is reserved", "macros: {PORT: 1}\n", "error: reserved"),
    ("MODEL_ID is reserved", model("macros: {MODEL_ID: 1}"), "error: reserved"),
    ("value that is a list", "macros: {a: [1]}\n", "error: must be a text, a number"),
    ("value that is nothing", "macros: {a: }\n", "error: must be a text, a number"),
    ("it contains itself", "macros: {a: 'x${a}'}\n", "error: contains itself"),
    ("a dot, a default and no braces are no reference", "state: '${A.b} ${X:-y} $X'\n",
     '= state: "${A.b} ${X:-y} $X"'),
    ("a model's macro takes the place of the global one",
     "macros: {a: 1, b: 'b${a}'}\n" + model("macros: {a: 2}, name: '${b}'"), '= name: "b2"'),
    ("a macro may use those above", "macros: {a: 1, b: '${a}2', c: '${b}3'}\nstate: ${c}\n", '= state: "123"'),
    ("not those below", "macros: {b: '${a}', a: 1}\nstate: ${b}\n", "error: unknown macro ${a}"),
    ("a global macro cannot see a model's", "macros: {b: '${a}'}\n" + model("macros: {a: 1}") + "state: ${b}\n",
     "error: unknown macro ${a}"),
    ("global macros reach every value", "macros: {n: 3}\nmetricsMaxInMemory: '${n}'\n", "= metricsMaxInMemory: 3"),
    ("a model's reach any depth", model("macros: {n: 3}, metadata: {a: [{b: '${n}'}]}"),
     '= metadata: {"a":[{"b":3}]}'),
    ("keys are not expanded", "macros: {n: 3}\n" + model("metadata: {'${n}': 1}"), '= metadata: {"${n}":1}'),
    ("but those of setParamsByID are", model("filters: {setParamsByID: {'${MODEL_ID}:x${PORT}': {a: 1}}}"),
     '= aliases: ["m:x5800"]'),
    ("two of them become the same", "macros: {k: x}\n" + model("filters: {setParamsByID: {'${k}': {}, x: {}}}"),
     "error: both become 'x'"),
    ("a macro alone keeps its type", "macros: {t: true, n: 5}\n" + model("unlisted: '${t}', ttl: '${n}'"),
     ["= unlisted: true", "= ttl: 5s"]),
    ("within a text it does not", model("macros: {n: 5}, metadata: {a: '${n}0'}"), '= metadata: {"a":"50"}'),
    ("numbers are rendered as by Go", model("macros: {f: 1000000.0, g: 0.00001}, name: 'a${f}b${g}'"),
     '= name: "a1e+06b1e-05"'),
    ("and floats and bools", model("macros: {f: 0.5, g: 1000000.0, b: false}, name: '${f} ${b}', metadata: {a: '${g}'}"),
     ['= name: "0.5 false"', '= metadata: {"a":1000000}']),
    ("a longer circle ends in an unknown one", "macros: {a: 'x${b}', b: 'y${a}'}\nstate: ${a}\n",
     "error: unknown macro ${b}"),
    ("a list item", "ui: {activity: {session_id: [a, '${nope}']}}\n",
     "error: ui.activity.session_id[1]: unknown macro"),
    ("comment lines of cmdStop as well",
     "models:\n  m:\n    cmd: x ${PORT}\n    cmdStop: |\n      # ${nope}\n      y ${PID}\n", ""),
    ("comment lines of cmd go first", "models:\n  m:\n    cmd: |\n      # ${nope}\n      x ${PORT}\n", ""),
    ("unknown in a model", model("name: '${nope}'"), "error: models.m.name: unknown macro ${nope}"),
    ("unknown, nested", model("metadata: {a: ['${nope}']}"), "error: models.m.metadata.a[0]: unknown macro"),
    ("unknown elsewhere", "apiKeys: ['${nope}']\n", "error: apiKeys[0]: unknown macro ${nope}"),
    ("unknown in an unknown top-level key", "what: ${nope}\n", "warning: unknown key 'what'"),
    ("PID outside cmdStop", model("name: '${PID}'"), "error: ${PID} can only stand in cmdStop"),
    ("PID in cmdStop", model("cmdStop: 'kill ${PID}'"), '= cmdStop: "kill ${PID}"'),
    ("unknown in a key of setParamsByID", model("filters: {setParamsByID: {'${nope}': {}}}"),
     "error: unknown macro ${nope}"),
]

PORTS = [
    ("from 5800", model("metadata: {p: '${PORT}'}"), '= metadata: {"p":5800}'),
    ("startPort", "startPort: 7000\n" + model("metadata: {p: '${PORT}'}"), '= metadata: {"p":7000}'),
    ("startPort by a macro", "macros: {s: 7000}\nstartPort: '${s}'\n" + model("metadata: {p: '${PORT}'}"),
     '= metadata: {"p":7000}'),
    ("startPort 0", "startPort: 0\n", "error: startPort must be at least 1"),
    ("by ascending id, one for each cmd that has it",
     "models: {b: {cmd: 'x ${PORT}', name: '${PORT}'}, a: {cmd: 'x ${PORT}'}, "
     "aa: {cmd: x, proxy: 'http://h'}}\n", '= name: "5801"'),
    ("by a macro in cmd", "macros: {p: '--port ${PORT}'}\n" + model("name: '${PORT}'", cmd="x ${p}"),
     '= name: "5800"'),
    ("in the proxy only", model("proxy: 'http://h:${PORT}'", cmd="x"), "error: put ${PORT} into cmd"),
    ("in the default proxy only", model(cmd="x"), "error: the default proxy is http://localhost:${PORT}"),
]

TOP = [
    ("healthCheckTimeout, default", model(), "= healthCheckTimeout: 120s"),
    ("healthCheckTimeout, raised", "healthCheckTimeout: 3\n" + model(), "= healthCheckTimeout: 15s"),
    ("healthCheckTimeout, negative", "healthCheckTimeout: -3\n" + model(),
     ["warning: taken as 15s", "= healthCheckTimeout: 15s"]),
    ("logLevel, trimmed and in any case", "logLevel: ' WARN '\n", '= logLevel: "warn"'),
    ("logLevel, another", "logLevel: loud\n", ["warning: taken as info", '= logLevel: "info"']),
    *[("logTimeFormat %s" % name, "logTimeFormat: %s\n" % name, ["", '= logTimeFormat: "%s"' % name])
      for name in "ansic unixdate rubydate rfc822 rfc822z rfc850 rfc1123 rfc1123z rfc3339 rfc3339nano "
                  "kitchen stamp stampmilli stampmicro stampnano".split()],
    ("logTimeFormat, another", "logTimeFormat: iso\n", '= logTimeFormat: ""'),
    *[("logToStdout %s" % name, "logToStdout: %s\n" % name, ["", "= logToStdout: " + name])
      for name in ("proxy", "upstream", "both", "none")],
    ("logToStdout, default", "", "= logToStdout: proxy"),
    ("logToStdout, another", "logToStdout: all\n", "error: logToStdout must be proxy, upstream, both or none"),
    ("logRequests is accepted", "logRequests: true\n", ""),
    ("metricsMaxInMemory, default", "", "= metricsMaxInMemory: 1000"),
    ("metricsMaxInMemory, 0", "metricsMaxInMemory: 0\n", "= metricsMaxInMemory: 1000"),
    ("metricsMaxInMemory, negative", "metricsMaxInMemory: -4\n", ["", "= metricsMaxInMemory: 1000"]),
    ("captureBuffer, default", "", "= captureBuffer: 5MiB"),
    ("captureBuffer, MB", "captureBuffer: 12\n", "= captureBuffer: 12MiB"),
    ("captureBuffer, 0", "captureBuffer: 0\n", "= captureBuffer: 0"),
    ("captureBuffer, negative", "captureBuffer: -1\n", ["", "= captureBuffer: 0"]),
    ("store.path", "store: {path: a.db}\n", '= path: "a.db"'),
    ("store.path, blank", "store: {path: ' '}\n", "error: store.path must not be empty"),
    ("store.path, a directory", "store: {path: /}\n", "error: is a directory, not a file"),
    ("store.path, no directory", "store: {path: /none/a.db}\n", "error: is not writable"),
    ("session_id, default", "", '= session_id: ["X-Session-ID", "X-Litellm-Session-Id"]'),
    ("session_id, blanks and doubles", "ui: {activity: {session_id: [' A ', '', a, B]}}\n",
     '= session_id: ["A", "B"]'),
    ("session_id, none", "ui: {activity: {session_id: []}}\n", "= session_id: []"),
    ("performance, default", "", "= every: 5s"),
    ("performance, 0", "performance: {every: 0s}\n", "= every: 5s"),
    ("performance, too often, though disabled", "performance: {disabled: true, every: 4s}\n",
     "error: every must be at least 5s"),
    ("globalTTL", "globalTTL: 7\n" + model(), "= ttl: 7s"),
    ("globalTTL, negative", "globalTTL: -1\n", "error: globalTTL must be 0 or more"),
    ("unloadTimeout, default", model(), "= unloadTimeout: 10s"),
    ("unloadTimeout, 0", "unloadTimeout: 0\n" + model(), "= unloadTimeout: 10s"),
    ("unloadTimeout, negative", "unloadTimeout: -1\n", "error: unloadTimeout must be 0 or more"),
    ("sendLoadingState is a default", "sendLoadingState: true\n" + model(), "= sendLoadingState: true"),
    ("includeAliasesInList", "includeAliasesInList: true\n", "= includeAliasesInList: true"),
    ("apiKeys, an empty one", "apiKeys: ['']\n", "error: apiKeys[0] is empty"),
    ("apiKeys, a blank", "apiKeys: [a, 'b c']\n", "error: apiKeys[1] holds a blank"),
    ("ignorePaths, default", "", r'= - ".*\\.(js|json|css|png|gif|jpg|jpeg|ico|txt)$"'),
    ("ignorePaths, [] is the default", "upstream: {ignorePaths: []}\n",
     r'= - ".*\\.(js|json|css|png|gif|jpg|jpeg|ico|txt)$"'),
    ("ignorePaths, own", "upstream: {ignorePaths: [^/a]}\n", '= - "^/a"'),
    ("ignorePaths, no expression", "upstream: {ignorePaths: ['a(']}\n",
     "error: upstream.ignorePaths: invalid regular expression 'a('"),
    ("preload: trimmed, aliases, unknown ones dropped",
     model("aliases: [z]") + "hooks: {on_startup: {preload: [' z ', nobody]}}\n",
     ["warning: unknown model 'nobody'", '= preload: ["m"]']),
]

MODEL = [
    ("cmd may be absent", "models: {m: {proxy: 'http://h'}}\n", "warning: has no cmd"),
    ("proxy, default", model(), '= proxy: "http://localhost:${PORT}"'),
    ("proxy that is no URL", model("proxy: 'http://h:x'"), "error: this proxy cannot be used"),
    ("proxy, empty: it loads, and cannot start", model("proxy: ''"), "warning: it cannot be started"),
    ("proxy with a query", model("proxy: 'http://h/a?b=c'"), ["", '= proxy: "http://h/a?b=c"']),
    ("proxy with TLS and a name", model("proxy: 'https://engine.local/v1'"), ""),
    ("proxy with a user", model("proxy: 'http://u:p@h'"), ["warning: are ignored", '= proxy: "http://h"']),
    ("checkEndpoint, default", model(), '= checkEndpoint: "/health"'),
    ("checkEndpoint, none", model("checkEndpoint: ' none '"), '= checkEndpoint: "none"'),
    ("checkEndpoint, absolute", model("checkEndpoint: 'http://h:1/a?b'"), '= checkEndpoint: "/a?b"'),
    ("aliases of two models", "models: {a: {cmd: 'x ${PORT}', aliases: [z]}, b: {cmd: 'x ${PORT}', "
     "aliases: [z]}}\n", "error: alias 'z' already belongs to model 'a'"),
    ("an alias twice", model("aliases: [z, z]"), "error: alias 'z' already belongs to model 'm'"),
    ("an alias that is an id is shadowed", "models: {a: {cmd: 'x ${PORT}'}, b: {cmd: 'x ${PORT}', "
     "aliases: [a]}}\n", "warning: which comes first"),
    ("an empty alias", model("aliases: ['', z]"), ["warning: an alias is empty", '= aliases: ["z"]']),
    ("env is not checked", model("env: [A]"), "warning: env takes NAME=value"),
    ("ttl -1 is globalTTL", "globalTTL: 9\n" + model("ttl: -1"), "= ttl: 9s"),
    ("ttl 0 is never", "globalTTL: 9\n" + model("ttl: 0"), "= ttl: 0"),
    ("ttl below", model("ttl: -2"), "error: ttl must be 0 or more, or -1"),
    ("unloadTimeout 0 is the global one", "unloadTimeout: 4\n" + model("unloadTimeout: 0"), "= unloadTimeout: 4s"),
    ("unloadTimeout below", model("unloadTimeout: -1"), "error: unloadTimeout must be 0 or more"),
    ("name and description are trimmed", model("name: ' a '"), '= name: "a"'),
    ("concurrencyLimit 0 is the default", model("concurrencyLimit: 0"), "= concurrencyLimit: 10"),
    ("stripParams: a list with commas, sorted, each once, never model",
     model("filters: {stripParams: 'b, a,model,b,'}"), '= stripParams: "a, b"'),
    ("strip_params, the older spelling", model("filters: {strip_params: a}"), '= stripParams: "a"'),
    ("stripParams comes first", model("filters: {strip_params: a, stripParams: b}"), '= stripParams: "b"'),
    ("setParams: any value", model("filters: {setParams: {a: {b: [1, x, ~, 1.5]}, model: no}}"),
     '= "a": {"b":[1,"x",null,1.5]}'),
    ("setParams: no path (500 at each request there)", model("filters: {setParams: {'a.#': 1}}"),
     "warning: 'a.#' is no path"),
    ("setParamsByID: names become aliases", model("filters: {setParamsByID: {'m:high': {e: high}, m: {}}}"),
     '= aliases: ["m:high"]'),
    ("setParamsByID: a model's id", "models: {a: {cmd: 'x ${PORT}'}, b: {cmd: 'x ${PORT}', filters: "
     "{setParamsByID: {a: {}}}}}\n", "error: 'a' is the id of another model"),
    ("setParamsByID: another's alias", "models: {a: {cmd: 'x ${PORT}', aliases: [z]}, b: {cmd: 'x ${PORT}', "
     "filters: {setParamsByID: {z: {}}}}}\n", "error: 'z' already belongs to model 'a'"),
    ("metadata", model("metadata: {z: 1, a: {n: ~}}"), '= metadata: {"a":{"n":null},"z":1}'),
    ("sendLoadingState", "sendLoadingState: true\n" + model("sendLoadingState: false"), "= sendLoadingState: false"),
    ("timeouts", model("timeouts: {connect: 1, keepalive: 2, responseHeader: 3, tlsHandshake: 4, "
                       "expectContinue: 5, idleConn: 6}"),
     ["= connect: 1s", "= keepalive: 2s", "= responseHeader: 3s", "= tlsHandshake: 4s",
      "= expectContinue: 5s", "= idleConn: 6s"]),
    ("timeouts below 0 are accepted", model("timeouts: {connect: -1}"), ["warning: negative", "= connect: 0"]),
    ("compat", model("compat: {ignoreWebsockets: true}"), "= ignoreWebsockets: true"),
    ("capabilities", model("capabilities: {in: [text, image], out: [audio], tools: true, reranker: true, "
                           "context: 4096}"),
     ['= in: ["text", "image"]', '= out: ["audio"]', "= tools: true", "= reranker: true", "= context: 4096"]),
    ("capabilities.in, another", model("capabilities: {in: [video]}"), "error: capabilities.in takes"),
    ("capabilities.out, another", model("capabilities: {out: [video]}"), "error: capabilities.out takes"),
    ("capabilities.context below 0", model("capabilities: {context: -1}"), "error: context must be at least 0"),
    ("healthCheckTimeout of a model", model("healthCheckTimeout: 60"), "= healthCheckTimeout: 60s"),
    ("comfyui_auto: at least 50 at once", "models: {comfyui_auto: {cmd: 'x ${PORT}', concurrencyLimit: 3}}\n",
     "= concurrencyLimit: 50"),
    ("comfyui_auto: WebSockets do not count", "models: {comfyui_auto: {cmd: 'x ${PORT}', compat: "
     "{ignoreWebsockets: false}}}\n", "= ignoreWebsockets: true"),
    ("cmd with a quote that stays open", "models: {m: {cmd: \"x ${PORT} 'a b\"}}\n", "warning: a quote is never closed"),
    ("cmd that is only a comment", "models:\n  m:\n    proxy: http://h\n    cmd: |\n      # x\n", "warning: has no cmd"),
]

TABLES = {"yaml": YAML, "env": ENV, "macros": MACROS, "ports": PORTS, "top": TOP, "model": MODEL}
ROWS = [pytest.param(row[1], row[2], id="%s: %s" % (table, row[0]))
        for table, rows in TABLES.items() for row in rows]


@pytest.mark.parametrize("text, wanted", ROWS)
def test_rule(text, wanted, tmp_path):
    expect(text, wanted, tmp_path, W_SET="value", W_EMPTY="", W_LINES="a\nb", W_ODD='a\\b"c')

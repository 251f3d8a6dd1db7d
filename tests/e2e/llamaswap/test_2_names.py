"""llama-swap's rules about groups, the matrix, selectors, profiles and peers (2.9 to 2.14), one row
each; what a row says is told in test_2_config.py."""

import pytest

from test_2_config import expect

AB = "models: {a: &m {cmd: 'x ${PORT}'}, b: *m}\n"
ALIAS = "models: {a: {cmd: 'x ${PORT}', aliases: [z]}}\n"
PEER = "peers: {p: {proxy: 'http://h:1', models: [r]}}\n"


def selector(keys, more=""):
    return more + "selectors: {s: {%s}}\n" % keys


GROUPS = [
    ("defaults", AB + "groups: {g: {members: [a]}}\n", ["= swap: true", "= exclusive: true", "= persistent: false"]),
    ("a member twice", AB + "groups: {g: {members: [a, a]}}\n", "error: stands twice in group 'g'"),
    ("a member of two groups", AB + "groups: {g: {members: [a]}, h: {members: [a]}}\n",
     "error: is in group 'g' already"),
    ("an unknown member (found at start there)", AB + "groups: {g: {members: [c]}}\n", "error: unknown member 'c'"),
    ("a group called (default)", AB + "groups: {(default): {members: [a]}}\n", "warning: '(default)'"),
    ("both places", AB + "groups: {g: {members: [a]}}\nrouting: {router: {use: group}}\n",
     "error: both 'groups' and 'routing.router'"),
    ("both older places", AB + "groups: {g: {members: [a]}}\nmatrix: {sets: {s: a}}\n",
     "error: both 'groups' and 'matrix'"),
    ("unknown router", "routing: {router: {use: magic}}\n", "error: use must be group, matrix or fit"),
    ("the empty router is the default", "routing: {router: {use: ''}}\n", "= use: group"),
    ("matrix without a matrix", "routing: {router: {use: matrix}}\n", "error: matrix is not set"),
    ("a matrix with the router group is ignored",
     AB + "routing: {router: {use: group, settings: {matrix: {sets: {s: nobody}}}}}\n", "warning: has no effect"),
    ("unknown scheduler", "routing: {scheduler: {use: magic}}\n", "error: use must be fair, fifo or serial"),
    ("fifo", "routing: {scheduler: {use: fifo}}\n", ""),
    ("priority of an unknown model", AB + "routing: {scheduler: {settings: {fifo: {priority: {c: 1}}}}}\n",
     "error: unknown model 'c'"),
    ("priority by alias", ALIAS + "routing: {scheduler: {settings: {fifo: {priority: {z: 4}}}}}\n", '= "a": 4'),
]


def matrix(text):
    return AB + "matrix: {%s}\n" % text


MATRIX = [
    ("at least one set", matrix("sets: {}"), "error: at least one set"),
    ("a var's name", matrix("vars: {a_b: a}, sets: {s: a}"), "error: must contain only alphanumeric"),
    ("a var's name, too long", matrix("vars: {%s: a}, sets: {s: a}" % ("v" * 33)), "error: 1-32 characters"),
    ("a var of an unknown model", matrix("vars: {v: c}, sets: {s: a}"), 'error: references unknown model "c"'),
    ("a var of an alias", ALIAS + "matrix: {vars: {v: z}, sets: {s: a}}\n", 'error: unknown model "z"'),
    ("a cost below 1", matrix("evict_costs: {a: 0}, sets: {s: a}"), "error: must be a positive integer"),
    ("a cost of nothing known", matrix("evict_costs: {c: 1}, sets: {s: a}"), "error: unknown var or model"),
    ("an empty expression", matrix("sets: {s: ''}"), "error: empty DSL expression"),
    ("an unexpected character", matrix("sets: {s: 'a ! b'}"), "error: unexpected character '!' at position 2"),
    ("no name behind +", matrix("sets: {s: 'a & + b'}"), "error: expected set name after '+'"),
    ("no closing parenthesis", matrix("sets: {s: '(a'}"), "error: missing closing parenthesis"),
    ("an unexpected token", matrix("sets: {s: 'a & | b'}"), "error: unexpected token"),
    ("a token behind the end", matrix("sets: {s: 'a b'}"), "error: after expression"),
    ("an unknown name", matrix("sets: {s: a & c}"), 'error: unknown var or model "c"'),
    ("an unknown set", matrix("sets: {s: +t}"), 'error: references undefined set "t"'),
    ("a circle", matrix("sets: {s: +t, t: +s}"), "error: circular reference"),
    ("all of it", matrix("vars: {v: a}, evict_costs: {v: 3, b: 2}, sets: {one: v, two: (+one | b) & a}"), ""),
]

SELECTORS = [
    ("pin", selector("strategy: pin, targets: [a]", AB), ["", "= strategy: pin"]),
    ("warm", selector("strategy: warm, targets: [a, b]", AB), ""),
    ("everything", selector("strategy: pin, targets: [z], settings: {spillover: 3}, name: ' n ', description: d, "
                            "unlisted: true, metadata: {k: [1]}", ALIAS),
     ["", '= name: "n"', "= unlisted: true", '= metadata: {"k":[1]}', '= targets: ["z"]',
      "= settings: {spillover: 3}"]),
    ("a blank name", AB + "selectors: {' ': {strategy: pin, targets: [a]}}\n", "error: a selector needs a name"),
    ("a model's id", AB + "selectors: {b: {strategy: pin, targets: [a]}}\n", "error: same name as model 'b'"),
    ("a model's alias", ALIAS + "selectors: {z: {strategy: pin, targets: [a]}}\n", "error: same name as alias 'z'"),
    ("no strategy", selector("targets: [a]", AB), "error: needs a strategy"),
    ("unknown strategy", selector("strategy: any, targets: [a]", AB), "error: warm, pin or spillover"),
    ("no targets", selector("strategy: pin", AB), "error: at least one target"),
    ("a target that is a selector", AB + "selectors: {s: {strategy: pin, targets: [t]}, "
     "t: {strategy: pin, targets: [a]}}\n", "error: a selector cannot choose another"),
    ("an unknown target", selector("strategy: pin, targets: [c]", AB), "error: unknown model 'c'"),
    ("warm to a peer", selector("strategy: warm, targets: [p/r]", PEER), "error: all targets are models of this"),
    ("pin to a peer", selector("strategy: pin, targets: [r]", PEER), ""),
    ("spillover below 1", selector("strategy: spillover, targets: [a], settings: {spillover: 0}", AB),
     "error: spillover must be at least 1"),
    ("spillover, the default", selector("strategy: spillover, targets: [a]", AB), "= settings: {spillover: 1}"),
    ("spillover twice to one model", selector("strategy: spillover, targets: [a, z]", ALIAS), "error: is a target already"),
    ("spillover outside the groups", selector("strategy: spillover, targets: [a, b]", AB), "error: is in no group"),
    ("spillover within a swapping group", selector("strategy: spillover, targets: [a, b]", AB) +
     "groups: {g: {members: [a, b]}}\n", "error: has swap: true"),
    ("spillover over two groups", selector("strategy: spillover, targets: [a, b]", AB) +
     "groups: {g: {swap: false, members: [a]}, h: {swap: false, members: [b]}}\n", "error: several groups"),
    ("spillover within a group", selector("strategy: spillover, targets: [a, b]", AB) +
     "groups: {g: {swap: false, members: [a, b]}}\n", ""),
    ("spillover over two sets", selector("strategy: spillover, targets: [a, b]", AB) +
     "matrix: {sets: {s: a | b}}\n", "error: no set of the matrix"),
    ("spillover within a set", selector("strategy: spillover, targets: [a, b]", AB) +
     "matrix: {sets: {s: a & b}}\n", ""),
    ("spillover to one model and a peer's", selector("strategy: spillover, targets: [a, r]", AB + PEER), ""),
]

PROFILES = [
    ("pins", AB + "profiles: {f: {description: d, pins: {x: a, y: '', w: }}}\n",
     ["", '= "x": "a"', '= "y": ""', '= "w": ""', '= description: "d"']),
    ("to a selector and a peer", AB + PEER + "profiles: {f: {pins: {x: s, y: p/r, v: r}}}\n"
     "selectors: {s: {strategy: pin, targets: [a]}}\n", ""),
    ("the older list", "profiles: {f: [a]}\n", "error: must be a mapping with description and pins"),
    ("a blank name", "profiles: {'': {pins: {x: ''}}}\n", "error: a profile needs a name"),
    ("no pins", "profiles: {f: {description: d}}\n", "error: at least one pin"),
    ("a pin without a name", "profiles: {f: {pins: {' ': ''}}}\n", "error: a pin without a name"),
    ("an unknown target", AB + "profiles: {f: {pins: {x: c}}}\n", "error: unknown model 'c'"),
    ("a long name is no error", "profiles: {%s: {pins: {x: ''}}}\n" % ("f" * 200), ""),
]

PEERS = [
    ("defaults", PEER, ["", "= connect: 30s", "= keepalive: 30s", "= responseHeader: 60s", "= tlsHandshake: 10s",
                        "= expectContinue: 1s", "= idleConn: 90s"]),
    ("the key is not shown", "peers: {p: {proxy: 'http://h', apiKey: k, models: [r]}}\n", '= apiKey: "***"'),
    ("nor one in its address", "peers: {p: {proxy: 'http://h/?key=k1&a', models: [r]}}\n",
     '= proxy: "http://h/?key=***&a"'),
    ("filters", "peers: {p: {proxy: 'https://h', models: [r], filters: {stripParams: 'a', setParams: {b: 1}, "
     "setParamsByID: {r: {c: 2}}}}}\n", ['= stripParams: "a"', '= "b": 1', '= "c": 2']),
    ("no proxy", "peers: {p: {models: [r]}}\n", "error: needs its proxy"),
    ("a bad proxy", "peers: {p: {proxy: 'h:1', models: [r]}}\n", "error: this proxy cannot be used"),
    ("no models", "peers: {p: {proxy: 'http://h'}}\n", "error: needs a list of its models"),
    ("the same bare name", "peers: {p: {proxy: 'http://h', models: [r]}, q: {proxy: 'http://h', models: [r]}}\n", ""),
    ("an ambiguous bare name is nobody's", "peers: {p: {proxy: 'http://h', models: [r]}, "
     "q: {proxy: 'http://h', models: [r]}}\nselectors: {s: {strategy: pin, targets: [r]}}\n", "error: unknown model 'r'"),
    ("a bare name that a model has", PEER + "models: {r: {cmd: 'x ${PORT}'}}\n", ""),
    ("one full name of two", "peers: {p: {proxy: 'http://h', models: [q/r]}, p/q: {proxy: 'http://h', models: [r]}}\n",
     "error: could mean both"),
    ("a model's id", PEER + "models: {p/r: {cmd: 'x ${PORT}'}}\n", "error: model 'p/r' has the full name"),
    ("a model's alias", PEER + "models: {a: {cmd: 'x ${PORT}', aliases: [p/r]}}\n", "error: alias 'p/r' of model 'a'"),
    ("a name of setParamsByID", PEER + "models: {a: {cmd: 'x ${PORT}', filters: {setParamsByID: {p/r: {}}}}}\n",
     "error: 'p/r' in setParamsByID of model 'a'"),
    ("a selector's id", PEER + AB + "selectors: {p/r: {strategy: pin, targets: [a]}}\n",
     "error: selector 'p/r' has the full name"),
    ("a pin's name", PEER + "profiles: {f: {pins: {p/r: ''}}}\n", "error: pin 'p/r' has the full name"),
]

TABLES = {"groups": GROUPS, "matrix": MATRIX, "selectors": SELECTORS, "profiles": PROFILES, "peers": PEERS}
ROWS = [pytest.param(row[1], row[2], id="%s: %s" % (table, row[0]))
        for table, rows in TABLES.items() for row in rows]


@pytest.mark.parametrize("text, wanted", ROWS)
def test_rule(text, wanted, tmp_path):
    expect(text, wanted, tmp_path)

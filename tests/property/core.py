"""The decision core, called through the shim: events in, effects out.

Whatever is told to a core is also written down in the language of the golden traces
(tests/golden/README.md), so that a failing example can be put into tests/golden as it is."""

import collections
import ctypes
import os
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("WHARF_BUILD_DIR", HERE.parents[1] / "build"))
LIBRARY = BUILD / "tests/property/libwharf_core_test.so"

NONE = 2**64 - 1
MIB = 2**20
GIB = 2**30
MS = 10**6
S = 10**9

SCHEDULERS = ("fifo", "serial", "fair")
PLANNERS = ("group", "fit", "matrix")
CLASSES = ("fg", "normal", "bg")
COMMANDS = ("load", "unload", "unload-now", "move", "suspend", "pin", "unpin", "keep")
OUTCOMES = ("done", "at-source", "at-target", "gone")
ENDS = ("end", "gone", "cut")
VERDICTS = ("here", "go", "wait", "blocked", "never")
ACTIONS = ("unload", "suspend", "move", "revoke")
# The words for reasons in a story, and the core's own.
REASONS = {"oom": "it ran out of device memory", "exited": "its process ended by itself",
           "aborted": "the load was called off", "error": "it failed to load"}
# As the story's models have it, unless they say otherwise.
LOAD_NS_MAX, UNLOAD_NS_MAX = 60 * S, 10 * S


class Broken(AssertionError):
    """The core did what it must not, and this is how it came to that."""

    def __init__(self, what, story):
        super().__init__("%s\n\nas a golden trace:\n\n%s\n" % (what, story))
        self.what, self.story = what, story


def structs(header):
    """The shim's structs; all their fields are uint64_t."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    for name, body in re.findall(r"^struct (shim_\w+) \{(.*?)^\};", text, re.S | re.M):
        fields = re.findall(r"(\w+)\s*[,;]", body)
        yield name, type(name, (ctypes.Structure,), {"_fields_": [(f, ctypes.c_uint64) for f in fields]})


def load():
    library = ctypes.CDLL(str(LIBRARY))
    of = dict(structs(HERE / "shim.h"))
    u32, u64, pointer = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p

    def ref(name):
        return ctypes.POINTER(of["shim_" + name])

    for name, result, *arguments in (
            ("new", pointer, ref("policy")), ("free", None, pointer),
            ("sizeof", u64, ctypes.c_char_p), ("name", ctypes.c_char_p, ctypes.c_char_p, u32),
            ("put_device", None, pointer, u32, ref("device")),
            ("put_model", None, pointer, u32, ref("model")),
            ("add_placement", None, pointer, u32, ref("placement")),
            ("put_gate", None, pointer, u32, u32), ("add_wish", None, pointer, u32, u32, u64),
            ("add_use", None, pointer, u64, u64, u64),
            ("step", ctypes.c_int32, pointer, ref("event")), ("effects", ref("effect"), pointer),
            ("failure", ctypes.c_char_p, pointer), ("deadline", u64, pointer),
            ("view", None, pointer, ref("view")),
            ("view_model", None, pointer, u32, ref("model_view")),
            ("view_device", None, pointer, u32, ref("device_view")),
            ("plan", ctypes.c_int32, pointer, u32, u32, ref("plan_view")),
            ("plan_victim", None, pointer, u32, ref("victim_view"))):
        function = getattr(library, "shim_" + name)
        function.restype, function.argtypes = result, arguments
    for name, struct in of.items():
        wanted = library.shim_sizeof(name.encode())
        if ctypes.sizeof(struct) != wanted:
            raise ImportError("struct %s: %d bytes here, %d in the shim"
                              % (name, ctypes.sizeof(struct), wanted))
    return library, of


LIB, STRUCTS = load()
POLICIES = {name: STRUCTS["shim_" + name] for name in ("policy", "device", "model", "placement")}


def names(what):
    found = []
    while (name := LIB.shim_name(what.encode(), len(found))) is not None:
        found.append(name.decode())
    return found


EVENT_TYPES, EFFECT_TYPES, NOTICES, TRACES, REASON_TEXTS, STATES = map(
    names, ("event", "effect", "notice", "trace", "reason", "state"))
EVENT = {name: i for i, name in enumerate(EVENT_TYPES)}
REASON = {name: i for i, name in enumerate(REASON_TEXTS)}

VIEW, MODEL_VIEW, DEVICE_VIEW = (STRUCTS["shim_" + n] for n in ("view", "model_view", "device_view"))
EFFECT_FIELDS = [f for f, _ in STRUCTS["shim_effect"]._fields_]
# Kinds as their names; what is none, as None.
Effect = collections.namedtuple("Effect", EFFECT_FIELDS)


def effect(raw):
    values = {f: getattr(raw, f) for f in EFFECT_FIELDS}
    values["type"] = EFFECT_TYPES[raw.type]
    values["notice"] = NOTICES[raw.notice] if values["type"] == "NOTICE" else None
    values["trace"] = TRACES[raw.trace] if values["type"] == "TRACE" else None
    values["reason"] = REASON_TEXTS[raw.reason]
    for field in ("model", "other", "gate", "device", "placement"):
        if values[field] == NONE:
            values[field] = None
    return Effect(**values)


def ms(ns):
    return "%dms" % (ns // MS)


def mib(size):
    return "%dMiB" % (size // MIB)


def gpus(mask):
    return ["gpu%d" % d for d in range(8) if mask >> d & 1]


class Model:
    """As it is configured. Each placement is a dict of the shim's fields."""

    def __init__(self, name, *placements, **policy):
        self.name, self.placements = name, placements
        self.policy = dict(slots_max=2, queue_max=8, load_retries_max=1, load_ns_max=LOAD_NS_MAX,
                           unload_ns_max=UNLOAD_NS_MAX)
        self.policy.update(policy)

    def story(self):
        p = self.policy
        words = ["model", self.name, "slots=%d" % p["slots_max"], "queue=%d" % p["queue_max"],
                 "retries=%d" % p["load_retries_max"], "load=" + ms(p["load_ns_max"]),
                 "unload=" + ms(p["unload_ns_max"])]
        words += ["ttl=" + ms(p["ttl_ns"])] if p.get("ttl_ns") else []
        words += ["residue=" + mib(p["suspended_bytes"])] if p.get("suspended_bytes") else []
        words += [flag for flag in ("movable", "yields", "suspends", "pinned") if p.get(flag)]
        for i, place in enumerate(self.placements):
            words += ["or"] if i else []
            words += ["device=" + d for d in gpus(place.get("device_mask", 0))]
            words += ["devices=%d" % place["device_count"]] if place.get("device_count") else []
            words += ["bytes=" + mib(place["bytes"])] if place.get("bytes") else []
            words += ["free=" + mib(place["free_bytes_min"])] if place.get("free_bytes_min") else []
        return " ".join(words)


class Ask:
    """What a lease is asked for."""

    def __init__(self, rank="bg", devices=0, count=1, size=0, gates=0, ttl_ns=0, wait_ns=NONE,
                 revocable=False, grace_ns=0):
        self.rank, self.devices, self.count, self.size, self.gates = rank, devices, count, size, gates
        self.ttl_ns, self.wait_ns, self.revocable, self.grace_ns = ttl_ns, wait_ns, revocable, grace_ns

    def fields(self):
        return {"rank": CLASSES.index(self.rank), "wait_ns_max": self.wait_ns,
                "lease_gates": self.gates, "lease_devices": self.devices,
                "lease_device_count": self.count, "lease_bytes": self.size,
                "lease_ttl_ns": self.ttl_ns, "lease_grace_ns": self.grace_ns,
                "lease_revocable": int(self.revocable)}

    def story(self, tag):
        words = ["lease", self.rank, *("gate%d" % g for g in range(4) if self.gates >> g & 1),
                 "#%d" % tag]
        if self.size:
            words += ["bytes=" + mib(self.size), "devices=%d" % self.count,
                      *("device=" + d for d in gpus(self.devices))]
        words += ["ttl=" + ms(self.ttl_ns)] if self.ttl_ns else []
        words += ["wait=" + ms(self.wait_ns)] if self.wait_ns != NONE else []
        words += ["revocable", "grace=" + ms(self.grace_ns)] if self.revocable else []
        return " ".join(words)


class Core:
    """One core from its first CONFIG on. Times are ns; models, devices and gates are slots.

    bug: see bugs.py; falsifies what is told and heard, so that properties can be seen to fail."""

    def __init__(self, config, bug=None):
        self.bug, self.story_lines = bug, []
        self.models = [bug.model(m) for m in config.models] if bug else config.models
        self.shim = LIB.shim_new(ctypes.byref(POLICIES["policy"](**config.policy())))
        self.event = STRUCTS["shim_event"]()
        self.story_lines += config.story()
        for d in range(len(config.devices)):
            self.put("device", d, limit_permille=1000)
        for g, limit in enumerate(config.gates):
            LIB.shim_put_gate(self.shim, g, limit)
        for i, m in enumerate(self.models):
            self.put("model", i, **m.policy)
            for place in m.placements:
                LIB.shim_add_placement(self.shim, i, POLICIES["placement"](**place))

    def close(self):
        LIB.shim_free(self.shim)
        self.shim = None

    def put(self, what, slot, **fields):
        getattr(LIB, "shim_put_" + what)(self.shim, slot, ctypes.byref(POLICIES[what](**fields)))

    def broken(self, what, now_ns=None):
        """An exception; the story goes on to the present."""
        end = ["%s tick" % ms(now_ns)] if now_ns is not None else []
        return Broken(what, "\n".join(self.story_lines + end))

    def tell(self, kind, now_ns, line=None, **fields):
        """One event; its effects. line: how a story tells it, unless it does so by itself."""
        if line:
            self.story_lines.append("%s %s" % (ms(now_ns), line))
        ctypes.memset(ctypes.byref(self.event), 0, ctypes.sizeof(self.event))
        self.event.type, self.event.now_ns = EVENT[kind], now_ns
        for name, value in fields.items():
            setattr(self.event, name, value)
        if self.bug and not self.bug.event(kind, self.event):
            return []
        count = LIB.shim_step(self.shim, ctypes.byref(self.event))
        if count < 0:
            raise self.broken("core_check: " + LIB.shim_failure(self.shim).decode())
        items = LIB.shim_effects(self.shim)
        effects = [effect(items[i]) for i in range(count)]
        return self.bug.effects(effects) if self.bug else effects

    def add_wish(self, model, wish, placement):
        """Of the next MODE."""
        LIB.shim_add_wish(self.shim, model, wish, placement)

    def add_use(self, model, lease, size):
        """Of the next DEVICE_SAMPLE."""
        LIB.shim_add_use(self.shim, model, lease, size)

    def deadline(self):
        return LIB.shim_deadline(self.shim)

    def view(self):
        found = VIEW()
        LIB.shim_view(self.shim, ctypes.byref(found))
        return found

    def model(self, slot):
        found = MODEL_VIEW()
        LIB.shim_view_model(self.shim, slot, ctypes.byref(found))
        return found

    def device(self, slot):
        found = DEVICE_VIEW()
        LIB.shim_view_device(self.shim, slot, ctypes.byref(found))
        return found

    def plan(self, slot, rank="normal"):
        """(verdict, plan, victims)"""
        found = STRUCTS["shim_plan_view"]()
        if LIB.shim_plan(self.shim, slot, CLASSES.index(rank), ctypes.byref(found)) < 0:
            raise self.broken("core_check after a plan: " + LIB.shim_failure(self.shim).decode())
        victims = []
        for i in range(found.victim_count):
            victims.append(STRUCTS["shim_victim_view"]())
            LIB.shim_plan_victim(self.shim, i, ctypes.byref(victims[-1]))
        return VERDICTS[found.verdict], found, victims

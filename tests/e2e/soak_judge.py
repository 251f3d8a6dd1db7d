"""What a soak is judged by. Nothing in here asks the daemon, or knows how the load came about: samples
and outcomes go in, sentences about what is wrong come out.

Flat is told by two rules on the second half of the samples. The slope is Theil and Sen's, the median of
the slopes between all pairs, which a few peaks do not move; less what the series' own ups and downs may
make of it (a bootstrap of blocks), and it counts where the half is long enough for either to be told. And
the level (the median of a tenth of the half) may not rise from its beginning to its end by more than a
step."""

import dataclasses
import itertools
import random
import statistics

SLOPE_SECONDS_MIN = 300
PAIRS_OF_POINTS_MAX = 600
BLOCKS = 10
DRAWS = 200


# ---------------------------------------------------------------- series


def slope_per_hour(points):
    """Of (seconds, value), in value's unit an hour."""
    every = max(1, len(points) // PAIRS_OF_POINTS_MAX)
    pairs = itertools.combinations(points[::every], 2)
    slopes = [(v2 - v1) / (t2 - t1) for (t1, v1), (t2, v2) in pairs if t2 > t1]
    return statistics.median(slopes) * 3600 if slopes else 0.0


def least_squares_per_hour(points):
    times, values = zip(*points, strict=True)
    t_mean, v_mean = statistics.fmean(times), statistics.fmean(values)
    spread = sum((t - t_mean) ** 2 for t in times)
    return sum((t - t_mean) * (v - v_mean) for t, v in points) / spread * 3600 if spread else 0.0


def without_peaks(values):
    """Those that stand out cut to four deviations, as the median sees them: they do not move the slope either."""
    middle = statistics.median(values)
    most = 4 * 1.4826 * statistics.median(abs(v - middle) for v in values)
    return [min(max(v, middle - most), middle + most) for v in values]


def noise_per_hour(points):
    """The slope that ups and downs like these reach, up or down, in one of twenty series that go nowhere.
    Whole blocks of what is left beside the slope are drawn: one moment hangs on the one before."""
    slope = slope_per_hour(points) / 3600
    rest = without_peaks([v - slope * t for t, v in points])
    length = max(1, len(points) // BLOCKS)
    rng = random.Random(len(points))
    slopes = []
    for _ in range(DRAWS):
        drawn = []
        while len(drawn) < len(points):
            start = rng.randrange(len(points) - length + 1)
            drawn += rest[start:start + length]
        slopes.append(abs(least_squares_per_hour([(t, v) for (t, _), v in zip(points, drawn, strict=False)])))
    return sorted(slopes)[DRAWS * 19 // 20]


def second_half(points):
    middle = (points[0][0] + points[-1][0]) / 2
    return [p for p in points if p[0] >= middle]


def levels(points):
    """At the beginning and at the end."""
    n = max(1, len(points) // 10)
    return statistics.median(v for _, v in points[:n]), statistics.median(v for _, v in points[-n:])


@dataclasses.dataclass
class Flat:
    """How a series must behave; both in its unit."""
    slope_per_hour_max: float
    step_max: float

    def faults(self, name, points):
        half = second_half(points)
        before, after = levels(half)
        found = []
        if after - before > self.step_max:
            found.append(f"{name} has risen by {after - before:.0f} in {half[-1][0] - half[0][0]:.0f} s, "
                         f"from {before:.0f}; {self.step_max:.0f} are allowed")
        slope = slope_per_hour(half)
        if half[-1][0] - half[0][0] >= SLOPE_SECONDS_MIN and slope > self.slope_per_hour_max:
            noise = noise_per_hour(half)
            if slope - noise > self.slope_per_hour_max:
                found.append(f"{name} rises by {slope:.0f} an hour, of which its noise makes {noise:.0f} at most; "
                             f"{self.slope_per_hour_max:.0f} are allowed")
        return found


def differences(name, first, later):
    """Of two counts by kind that must be equal."""
    return [f"{name}: {kind} was {first.get(kind, 0)}, is {later.get(kind, 0)}"
            for kind in sorted({*first, *later}) if first.get(kind, 0) != later.get(kind, 0)]


def bounded(sizes, bounds):
    """sizes: {file: the most bytes that were seen}; bounds: [(beginning of a name, bytes)], the first that
    fits counts. A file that no bound is known for is a fault."""
    found = []
    for name, most in sorted(sizes.items()):
        bound = next((b for start, b in bounds if name.startswith(start)), None)
        if bound is None:
            found.append(f"no bound is known for the file {name}")
        elif most > bound:
            found.append(f"the file {name} had {most} bytes; {bound} are allowed")
    return found


class Ids:
    """Of events, as one follower sees them: without a hole, and told when there is one."""

    def __init__(self, last=None):
        self.last, self.faults, self.seen = last, [], 0

    def saw(self, id_, missed=None):
        """missed: this is a `gap`, which stands for that many."""
        if self.last is not None and id_ != self.last + 1 and missed is None:
            self.faults.append(f"event {id_} follows on {self.last}")
        self.last = id_
        self.seen += 1


# ---------------------------------------------------------------- errors


@dataclasses.dataclass
class Deed:
    """Something that the load did which others may feel. model None: it concerns all."""
    kind: str
    model: str | None
    began: float
    ended: float = float("inf")


@dataclasses.dataclass
class Outcome:
    """Of one request. code: "" when all was as it should be, else wharf's code, or: cut (the answer has no
    end), lost (there is none), wrong (it is not what was asked for), or an engine's own code."""
    kind: str
    models: tuple
    began: float
    ended: float
    status: int
    code: str
    wants: tuple = ()  # codes that it asked for itself
    said: str = ""

    def __str__(self):
        return (f"{self.kind} of {'/'.join(self.models)}: {self.status} {self.code or 'fine'} after "
                f"{self.ended - self.began:.2f} s, {self.said[:600]}")


# What is left of an engine's socket may still be met a moment after it was killed.
KILL_S = 2
# A model whose load failed is left alone for a minute at most.
PAUSE_S = 65
# {code: [(kind of deed, how long it is felt, in seconds)]}.
ENGINE_GONE = [("kill", KILL_S), ("force", 1), ("worker", KILL_S), ("backend", KILL_S)]
EXCUSES = {
    "cut": [*ENGINE_GONE, ("cancel", 1)],
    "upstream_closed": ENGINE_GONE,
    "upstream_error": ENGINE_GONE,
    "upstream_refused": ENGINE_GONE,
    "operation_failed": ENGINE_GONE,
    "load_failed": [("kill", PAUSE_S), ("worker", KILL_S)],
    "load_paused": [("kill", PAUSE_S), ("worker", PAUSE_S)],
    "model_unloaded": [("unload", 1), ("force", 1), ("reload", 1)],
    "model_not_found": [("guest away", 0)],
    "backend_down": [("backend", 2), ("worker", 2)],
    "cancelled": [("cancel", 1)],
}
# Errors in Ollama's words have no code.
for status, codes in {499: ["cancelled"], 502: ["upstream_closed", "load_failed"],
                      503: ["model_unloaded", "load_paused", "backend_down"]}.items():
    EXCUSES[f"status {status}"] = [excuse for code in codes for excuse in EXCUSES[code]]


def asked_for(outcome, deeds):
    """Whether the load has asked for that error: in the request, or by what it did meanwhile."""
    if outcome.code in ("", *outcome.wants):
        return True
    return any(deed.kind == kind and (deed.model is None or deed.model in outcome.models) and
               deed.began <= outcome.ended and outcome.began <= deed.ended + felt_s
               for kind, felt_s in EXCUSES.get(outcome.code, ()) for deed in deeds)

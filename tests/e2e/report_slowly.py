"""What `wharf report` says, worked out slowly from its definition in docs/report.md: every request is held
against every absence, with nothing sorted out beforehand. Times are whole milliseconds."""

import datetime
import math
from collections import Counter, defaultdict

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
SOON_MS = 300_000


def ms(text):
    return None if text is None else round((datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
                                            - EPOCH) / datetime.timedelta(milliseconds=1))


def is_there(lease, at, devices):
    granted, ended = ms(lease["granted"]), ms(lease["ended"])
    return (granted is not None and granted <= at and (ended is None or ended > at)
            and set(lease["devices"]) & set(devices))


def first_client(requests, model, at):
    """Whose request waited first for the model at that time."""
    waiting = [(ms(r["arrived"]), i, r["key"]) for i, r in enumerate(requests)
               if r["model"] == model and ms(r["arrived"]) <= at <= ms(r["arrived"]) + (r["waited_ms"] or 0)]
    return min(waiting, key=lambda w: w[:2])[2] if waiting else None


def find_absences(requests, swaps, leases):
    absences, away, left_for = [], {}, defaultdict(list)
    for s in sorted(swaps, key=lambda s: ms(s["at"])):
        if not s["ok"]:
            continue
        at, model = ms(s["at"]), s["model"]
        if s["kind"] in ("unload", "suspend") and model in away and away[model]["to"] is None:
            continue  # it is away already
        if s["kind"] in ("unload", "suspend"):
            a = {"model": model, "from": at, "left": at, "to": None, "reload": 0, "bytes": s["bytes"] or 0,
                 "for_model": s.get("for_model"), "for_lease": s.get("for_lease"), "leases": None, "key": None}
            if a["for_model"] == model:
                a["for_model"] = None
            if a["for_model"]:
                a["key"] = first_client(requests, a["for_model"], at)
                left_for[a["for_model"]].append(a)
            absences.append(a)
            away[model] = a
        elif s["kind"] in ("load", "resume"):
            took = round((s["seconds"] or 0) * 1000)
            if model in away and away[model]["to"] is None:
                away[model].update(to=at + took, reload=took)
            together = left_for.pop(model, [])
            held = [x for x in leases if is_there(x, at, s["devices"])]
            holds, needs = sum(x["bytes"] or 0 for x in held), sum(a["bytes"] for a in together)
            if together and all(a["bytes"] for a in together) and holds >= needs:
                for a in together:
                    a["leases"] = [(x["name"], x["bytes"] / holds) for x in held if x["bytes"]]
    upto = Counter()
    for a in absences:
        if a["to"] is not None:
            a["from"] = max(a["from"], upto[a["model"]])
            a["to"] = max(a["from"], a["to"])
            upto[a["model"]] = a["to"]
    return absences


def percentile(values, share):
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)] if values else 0


def report(requests, swaps, leases, begin, end):
    """Seconds; begin and end in ms."""
    requests = [r for r in requests if begin <= ms(r["arrived"]) < end]
    swaps = [s for s in swaps if ms(s["at"]) < end]
    leases = [x for x in leases if ms(x["asked"]) < end and (x["ended"] is None or ms(x["ended"]) >= begin)]
    models, clients, lease_costs, pairs = (defaultdict(Counter) for _ in range(4))
    for r in requests:
        for who in (models[r["model"]], clients[r["key"]]):
            who["requests"] += 1
            who["waited"] += (r["waited_ms"] or 0) / 1000
    for s in swaps:
        if s["kind"] in ("load", "resume") and begin <= ms(s["at"]):
            models[s["model"]]["loads"] += s["ok"]
            models[s["model"]]["loading"] += (s["seconds"] or 0) if s["ok"] else 0
    for a in find_absences(requests, swaps, leases):
        if not (a["for_model"] or a["for_lease"]) or not begin <= a["left"] < end:
            continue
        waits = [] if a["to"] is None else [
            (r["key"], max(0, min(a["to"], ms(r["arrived"]) + (r["waited_ms"] or 0)) - max(a["from"], ms(r["arrived"]))))
            for r in requests if r["model"] == a["model"]]
        cost = sum(w for _, w in waits) / 1000
        models[a["model"]]["put_out"] += 1
        if a["to"] is not None and a["to"] - a["reload"] < a["left"] + SOON_MS:
            models[a["model"]]["thrash"] += 1
        pair = pairs["lease" if not a["for_model"] else "model", a["for_model"] or a["for_lease"], a["model"]]
        pair.update(times=1, reload=a["reload"] / 1000, waited=cost)
        if a["leases"]:
            for name, part in a["leases"]:
                lease_costs[name]["cost"] += cost * part
        elif a["for_model"]:
            models[a["for_model"]]["cost"] += cost
            if a["key"]:
                clients[a["key"]]["cost"] += sum(w for key, w in waits if key != a["key"]) / 1000
        else:
            lease_costs[a["for_lease"]]["cost"] += cost
    for x in leases:
        if x["granted"] is not None:
            stop = min(end, end if x["ended"] is None else ms(x["ended"]))
            held = max(0, stop - max(begin, ms(x["granted"]))) / 1000
            lease_costs[x["name"]]["held"] += held
            lease_costs[x["name"]]["byte_hours"] += held / 3600 * (x["bytes"] or 0)
    waits = {c: [r["waited_ms"] / 1000 for r in requests if r["class"] == c and r["waited_ms"] is not None]
             for c in ("foreground", "normal", "background")}
    return models, clients, lease_costs, pairs, waits

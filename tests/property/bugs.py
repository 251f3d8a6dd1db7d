"""Bugs to seed: each falsifies what a core is told, or what it is heard to say, so that the selftest can
see that the properties notice. One bug is made for each core, and may remember."""

from core import CLASSES, COMMANDS, S, Model


class Bug:
    def model(self, model):
        """The policy that the core gets."""
        return model

    def event(self, kind, event):
        """False: the core does not hear of it."""
        return True

    def effects(self, effects):
        return effects


def policy(**fields):
    """Models are not what their configuration says."""
    class Policy(Bug):
        def model(self, model):
            return Model(model.name, *model.placements, **{**model.policy, **{
                name: value for name, value in fields.items() if model.policy.get(name)}})
    return Policy


class HalfBytes(Bug):
    """Footprints count half."""

    def model(self, model):
        return Model(model.name, *({**p, "bytes": p.get("bytes", 0) // 2} for p in model.placements),
                     **model.policy)


class ModeForgotten(Bug):
    """Only the first mode is ever set."""

    def __init__(self):
        self.modes = 0

    def event(self, kind, event):
        self.modes += kind == "MODE"
        return kind != "MODE" or self.modes == 1


class PartOfALease(Bug):
    """A lease of several devices gets one."""

    def event(self, kind, event):
        if kind == "LEASE_ASKED":
            event.lease_device_count = min(event.lease_device_count, 1)
        return True


class GateForgetsClasses(Bug):
    """Whoever comes first goes in first."""

    def event(self, kind, event):
        if kind == "LEASE_ASKED":
            event.rank = CLASSES.index("normal")
        return True


class Dropped(Bug):
    """The second effect of the kind is lost."""

    lost = None

    def __init__(self):
        self.seen = 0

    def effects(self, effects):
        kept = []
        for e in effects:
            self.seen += e.type == self.lost
            if e.type != self.lost or self.seen != 2:
                kept.append(e)
        return kept


class GrantLost(Dropped):
    lost = "GRANT"


class RefusalLost(Dropped):
    lost = "REFUSE"


class AnswerLost(Dropped):
    lost = "COMMAND_DONE"


class Twice(Bug):
    """Every grant is told twice."""

    def effects(self, effects):
        return [e for e in effects for _ in range(1 + (e.type == "GRANT"))]


class DoneAtOnce(Bug):
    """A command is answered when its op begins."""

    def __init__(self):
        self.tag = 0

    def event(self, kind, event):
        self.tag = event.tag if kind == "COMMAND" else 0
        return True

    def effects(self, effects):
        answered = any(e.type == "COMMAND_DONE" for e in effects)
        for e in effects:
            if self.tag and not answered and e.type in ("LOAD", "UNLOAD", "MOVE"):
                return [*effects, e._replace(type="COMMAND_DONE", tag=self.tag, reason="")]
        return effects


class PinsForgotten(Bug):
    """Pinned models are like any other: the core is not told, and asked, says what it should."""

    def model(self, model):
        return Model(model.name, *model.placements, **{**model.policy, "pinned": 0})

    def event(self, kind, event):
        if kind == "COMMAND" and event.command == COMMANDS.index("pin"):
            event.command = COMMANDS.index("unpin")
        return True


NoYielding = policy(yields=0)
DefaultTtl = policy(ttl_ns=300 * S)
OneMoreSlot = policy(slots_max=5)
SlowUnload = policy(unload_ns_max=60 * S)
Unmovable = policy(movable=0)



class PlacementsSwapped(Bug):
    """The second placement comes first."""

    def model(self, model):
        return Model(model.name, *reversed(model.placements), **model.policy)

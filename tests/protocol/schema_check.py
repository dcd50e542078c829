"""qga-protocol/memplug-schema.json read a second time, to hold replies, events and the page to it.

Stricter than the daemon's own check of what it is sent: an unknown member is an error everywhere.
"""
import json
from pathlib import Path

SCHEMA = Path(__file__).resolve().parents[2] / "qga-protocol/memplug-schema.json"
WHOLE = {"int": (-2**63, 2**63), "int64": (-2**63, 2**63), "uint64": (0, 2**64), "size": (0, 2**64)}
PLAIN = {"str": str, "bool": bool, "number": (int, float)}


def with_aliases(commands):
    """The names that COMMANDS go by, each once."""
    return set(commands) | {"guest-" + name for name in commands if name.startswith("memory-")}


class Schema:
    """The entries by kind, name -> entry."""

    def __init__(self):
        entries = json.loads(SCHEMA.read_text(encoding="utf-8"))
        self.commands, self.events, self._types = {}, {}, {}
        for entry in entries:
            kind = next(iter(entry))
            home = {"command": self.commands, "event": self.events}.get(kind, self._types)
            assert entry[kind] not in home, "%s twice" % entry[kind]
            home[entry[kind]] = entry

    def enum(self, name):
        """The words of an enum."""
        return self._types[name]["data"]

    def check_arguments(self, command, arguments):
        """The problems of a request's arguments, as a list of sentences."""
        return list(self._members(self.commands[command].get("data", {}), arguments, "arguments"))

    def check_return(self, command, value):
        """The problems of what a command returned."""
        returns = self.commands[command].get("returns")
        if returns is None:
            return [] if value == {} else ["%s returns %r, not {}" % (command, value)]
        return list(self._value(returns, value, command))

    def check_event(self, message):
        """The problems of an event's line."""
        if set(message) != {"event", "data", "timestamp"}:
            return ["an event has %s" % sorted(message)]
        stamp = {"seconds": "int", "microseconds": "int"}
        return [*self._members(stamp, message["timestamp"], "timestamp"),
                *self._members(self.events[message["event"]].get("data", {}), message["data"],
                               message["event"])]

    def _members(self, members, value, place):
        if not isinstance(value, dict):
            yield "%s is no object: %r" % (place, value)
            return
        known = {name.lstrip("*"): (use, name.startswith("*")) for name, use in members.items()}
        for name, (use, optional) in known.items():
            if name in value:
                yield from self._value(use, value[name], "%s.%s" % (place, name))
            elif not optional:
                yield "%s lacks %s" % (place, name)
        for name in set(value) - set(known):
            yield "%s has %s, which the schema does not know" % (place, name)

    def _value(self, use, value, place):
        if isinstance(use, list):
            if not isinstance(value, list):
                yield "%s is no array: %r" % (place, value)
                return
            for number, item in enumerate(value):
                yield from self._value(use[0], item, "%s[%d]" % (place, number))
        elif use in WHOLE:
            low, high = WHOLE[use]
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value < high:
                yield "%s is no %s: %r" % (place, use, value)
        elif use in PLAIN:
            if not isinstance(value, PLAIN[use]):
                yield "%s is no %s: %r" % (place, use, value)
        else:
            yield from self._named(self._types[use], value, place)

    def _named(self, entry, value, place):
        if "enum" in entry:
            if value not in entry["data"]:
                yield "%s is none of %s: %r" % (place, entry["enum"], value)
        elif "struct" in entry:
            yield from self._members(entry["data"], value, place)
        else:
            tried = [list(self._value(use, value, place)) for use in entry["data"].values()]
            if all(tried):
                yield "%s fits nothing of %s: %s" % (place, entry["alternate"], tried)

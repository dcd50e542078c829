"""Reads docs/protocol.md: its examples, tables and list of differences; and holds replies to them.

An example is a fenced block: `qga` is replayed on example_tree.py's guest, `qga guest` in a booted one,
`qga event` is one line each of what a host may get.
"""
import json
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/protocol.md"

# Members whose values differ from run to run; the wording of a reason or warning is for people.
VOLATILE = {"agent-start-usec", "elapsed-ms", "lease-left-ms", "seconds", "microseconds", "version"}
# Strings that a host decides by; in a booted guest all other values may differ.
WORDS = {"state", "code", "event", "policy", "response", "id", "key"}


def text():
    """The page."""
    return PAGE.read_text(encoding="utf-8")


def _unfold(block):
    """The lines of a fenced block as (arrow, bytes): folded lines joined."""
    lines = []
    for line in block.splitlines():
        if line[:3] in ("-> ", "<- "):
            lines.append([line[:2], line[3:]])
        else:
            lines[-1][1] += " " + line.strip()
    return [(arrow, rest.replace("\\xff", "\xff").encode("latin-1")) for arrow, rest in lines]


def examples(kind):
    """Of the blocks of a kind, one after the other: (request, [replies]); events have no request."""
    found = []
    for block in re.findall(r"^```%s\n(.*?)^```$" % kind, text(), re.M | re.S):
        for arrow, line in _unfold(block):
            if arrow == "->":
                found.append((line, []))
            elif kind.endswith("event"):
                found.append((None, [line]))
            else:
                found[-1][1].append(line)
    return found


def load(line):
    """(has 0xFF, value) of a line as it is sent or shown."""
    return line.startswith(b"\xff"), json.loads(line.lstrip(b"\xff").decode("ascii"))


def section(heading):
    """The text under a heading of the second level."""
    return re.search(r"^## %s\n(.*?)(?=^## |\Z)" % re.escape(heading), text(), re.M | re.S)[1]


def table(part):
    """The rows of the tables in PART as lists of cells, without their heads."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in part.splitlines() if line.startswith("|")]
    heads = {number - 1 for number, row in enumerate(rows) if set(row[0]) <= set("- ")}
    return [row for number, row in enumerate(rows)
            if number not in heads and set(row[0]) - set("- ")]


def named(part):
    """The `words` in the first cells of the tables in PART."""
    return [row[0].strip("`") for row in table(part) if row[0].startswith("`")]


def fixed(value):
    """VALUE with what may differ from run to run taken out."""
    if isinstance(value, list):
        return [fixed(item) for item in value]
    if not isinstance(value, dict):
        return value
    in_reason = "code" in value
    return {key: type(item).__name__ if key in VOLATILE or (in_reason and key == "desc")
            else fixed(item) for key, item in value.items()}


def shape(value, name=None):
    """VALUE with everything taken out but its structure and the words that a host decides by."""
    if isinstance(value, list):
        return [shape(item, name) for item in value]
    if isinstance(value, dict):
        return {key: shape(item, key) for key, item in value.items()}
    return value if isinstance(value, str) and name in WORDS else type(value).__name__

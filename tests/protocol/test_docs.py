"""docs/protocol.md against the daemon, the schema and the sources: the page cannot go stale."""
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import page
from allowed_differences import ALLOWED, NOT_SHOWN, OLDER
from daemons import BUILD, MARK_REPLY, MARK_REQUEST, ROOT, exchange, start_memplugd
from example_tree import make_example_tree
from schema_check import Schema, with_aliases

# Where the figures of the page's table of limits stand, in its order.
LIMITS = [("qga-protocol/framer.h", "QGA_FRAMER_MAX_BYTES"),
          ("qga-protocol/framer.h", "QGA_FRAMER_MAX_TOKENS"),
          ("qga-protocol/framer.h", "QGA_FRAMER_MAX_NESTING"),
          ("qga-protocol/json-reader.h", "QGA_JSON_MAX_MEMBERS"),
          ("qga-protocol/request.h", "QGA_REQUEST_ID_MAX_BYTES"),
          ("qga-protocol/session.h", "QGA_SESSION_OUTPUT_LIMIT_BYTES"),
          ("qga-protocol/framer.h", "QGA_FRAMER_MAX_PASSED_BYTES"),
          ("qga-protocol/session.h", "QGA_SESSION_BACKLOG_LIMIT_BYTES"),
          ("qga-protocol/relay.h", "QGA_RELAY_MAX_COMMANDS"),
          ("agent/os/channel.h", "CHANNEL_CLIENTS_MAX"),
          ("agent/front/commands-guest.c", "SET_MAX"),
          ("agent/engine/block-requests.h", "BLOCK_REQUESTS_MAX"),
          ("agent/decide/unplug.h", "UNPLUG_DEVICES_MAX"),
          ("agent/decide/plan.h", "PLAN_DEVICES_MAX"),
          ("agent/decide/unplug.h", "UNPLUG_QUEUE_MAX"),
          ("agent/decide/unplug.h", "UNPLUG_ENDED_MAX"),
          ("agent/decide/unplug.h", "UNPLUG_KEY_MAX"),
          ("agent/decide/unplug.h", "UNPLUG_REASONS_MAX"),
          ("agent/front/commands-unplug.c", "LISTED_MAX"),
          ("agent/decide/inhibitors.h", "INHIBITORS_MAX"),
          ("agent/decide/inhibitors.h", "INHIBITORS_OTHERS_MAX"),
          ("agent/decide/inhibitors.h", "INHIBITORS_USER_MAX"),
          ("agent/decide/inhibitors.h", "INHIBIT_WHO_MAX"),
          ("agent/decide/inhibitors.h", "INHIBIT_WHY_MAX"),
          ("agent/os/stall-watch.h", "STALL_WINDOW_MIN_MS"),
          ("agent/os/stall-watch.h", "STALL_WINDOW_MAX_MS"),
          ("agent/decide/unplug.h", "UNPLUG_TIMEOUT_MAX_MS"),
          ("agent/decide/unplug.h", "UNPLUG_LEASE_MAX_MS")]


@pytest.fixture(scope="module")
def schema():
    """The schema, read by a reader that is not the daemon's."""
    return Schema()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """memplugd in the guest that the page shows."""
    started = start_memplugd(tmp_path_factory.mktemp("docs") / "mp", tree=make_example_tree)
    yield started
    assert started.stop() == 0


def answers(daemon, requests):
    """What comes for each request, as lists of lines; all on one connection."""
    with daemon.connect() as peer:
        return [exchange(peer, [request + b"\n", MARK_REQUEST.lstrip(b"\xff")], MARK_REPLY)
                .split(b"\n")[:-2] for request in requests]


def problems_of(schema, request, reply):
    """What is wrong with a reply to this request by the schema."""
    if "return" not in reply:
        return [] if set(reply) - {"id"} == {"error"} else ["neither return nor error: %s" % reply]
    return schema.check_return(page.load(request)[1]["execute"], reply["return"])


def test_examples_are_what_the_daemon_says(daemon, schema):
    """Each example that needs no guest, in the page's order on one connection."""
    shown = page.examples("qga")
    wrong = []
    for (request, replies), lines in zip(shown, answers(daemon, [request for request, _ in shown])):
        for line in lines:
            wrong += problems_of(schema, request, page.load(line)[1])
        want = [(mark, page.fixed(value)) for mark, value in map(page.load, replies)]
        got = [(mark, page.fixed(value)) for mark, value in map(page.load, lines)]
        if want != got:
            wrong.append("%s\n  page   %s\n  daemon %s" % (request.decode("latin-1"), want, got))
    assert not wrong, "\n".join(wrong)


def test_examples_are_what_the_schema_says(schema):
    """Those of a booted guest and of events too, which the daemon's answers are held to elsewhere."""
    wrong = []
    for request, replies in page.examples("qga guest"):
        command = page.load(request)[1]
        wrong += schema.check_arguments(command["execute"], command.get("arguments", {}))
        for line in replies:
            wrong += problems_of(schema, request, page.load(line)[1])
    events = [page.load(line)[1] for _, lines in page.examples("qga event") for line in lines]
    for event in events:
        wrong += schema.check_event(event)
    assert not wrong, "\n".join(wrong)
    assert {event["event"] for event in events} == set(schema.events)


def test_every_command_is_in_daemon_schema_and_page(daemon, schema, tmp_path):
    """The same names in all three, each with a request and a reply that is no error."""
    info = json.loads(answers(daemon, [b'{"execute":"guest-info"}'])[0][0])["return"]
    names = [command["name"] for command in info["supported_commands"]]
    registered = {name for name in names if not name.startswith("guest-memory-")}
    assert registered == set(schema.commands)
    assert sorted(names) == sorted(with_aliases(registered))
    # Blocked where nobody names it: its example is the error.
    succeed = registered - {"memory-set-policy"}
    shown = {page.load(request)[1]["execute"]
             for kind in ("qga", "qga guest") for request, replies in page.examples(kind)
             if any("return" in page.load(line)[1] for line in replies)}
    assert shown == succeed
    headings = set(re.findall(r"^### ((?:guest|memory)-\S+)$", page.text(), re.M))
    assert headings | {"guest-sync", "guest-sync-delimited", "guest-ping"} == registered
    (tmp_path / "conf").write_text("")
    listed = subprocess.run([str(BUILD / "memplugd"), "-c", str(tmp_path / "conf"), "-b", "help"],
                            text=True, stdout=subprocess.PIPE, check=True).stdout
    assert {line.split(" ")[0] for line in listed.splitlines()} == set(names)


def test_tables_are_complete(schema):
    """States, reasons, warnings and events: those of the schema and the sources, no more."""
    assert page.named(page.section("Jobs")) == schema.enum("MemoryUnplugJobState")
    assert page.named(page.section("Reasons")) == schema.enum("MemoryReasonCode")
    assert page.named(page.section("Events")) == list(schema.events)
    codes = re.findall(r'\badd\(\s*warnings, "([a-z-]+)"',
                       (ROOT / "agent/decide/warnings.c").read_text(encoding="utf-8"))
    assert sorted(page.named(page.section("Figures"))) == sorted(set(codes))


def test_limits_are_those_of_the_sources():
    """Figure by figure."""
    shown = [int(row[1]) for row in page.table(page.section("Limits")) if row[1].isdigit()]
    real = []
    for path, name in LIMITS:
        value = re.search(r"^#define %s ([^/\n]+)" % name,
                          (ROOT / path).read_text(encoding="utf-8"), re.M)[1].strip().strip("()")
        real.append(math.prod(int(factor) for factor in value.split("*")))
    assert shown == real


def test_differences_are_those_of_the_suite():
    """The list is the suite's own, word for word."""
    for title, listed in (("Where it is not qemu-ga", {**ALLOWED, **NOT_SHOWN}),
                          ("What an older qemu-ga does otherwise", OLDER)):
        bullets = re.findall(r"^- `([\w-]+)`: (.*?)(?=^- |\Z)", page.section(title), re.M | re.S)
        assert {key: " ".join(reason.split()) for key, reason in bullets} == listed
        assert len(bullets) == len(listed)


def test_arguments_are_those_of_the_schema(daemon, schema):
    """An unknown argument, one of a wrong type, one that is missing: each is an error that names it."""
    good = {"id": 1, "bytes": 1, "devices": [{"slot": 0}], "job": 1, "enabled": True, "mem-blks": []}
    wrong = []
    for name, entry in schema.commands.items():
        members = entry.get("data", {})
        needed = {key: good[key] for key in members if key[0] != "*"}
        bad = [("no-such", {**needed, "no-such": 1})]
        bad += [(key.lstrip("*"), {**needed, key.lstrip("*"): {"x": []}}) for key in members]
        bad += [(key, {other: needed[other] for other in needed if other != key})
                for key in needed]
        for argument, arguments in bad:
            request = json.dumps({"execute": name, "arguments": arguments}).encode()
            desc = json.loads(answers(daemon, [request])[0][0])["error"]["desc"]
            if argument not in desc and name != "memory-set-policy":  # which is disabled
                wrong.append("%s: %s" % (request, desc))
    assert not wrong, "\n".join(wrong)

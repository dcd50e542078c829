"""The same bytes to qemu-ga, the installed one and the newest, and to memplugd: every line, class, id, 0xFF
and text must agree.

The differences that stay are in allowed_differences.py, each with its reason.
"""
import json
import os
import random
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from allowed_differences import ALLOWED
from daemons import QEMU_GAS, parse_reply, start_memplugd, start_qemu_ga
from differential_cases import PING, all_cases, ping_id

CASES = list(all_cases())
# Cases up to this length are sent byte by byte as well.
BYTEWISE_MAX = 80


# The words for malformed JSON are those of this one; of a newer one the long run looks at them.
WORDS = "11.1"


@pytest.fixture(scope="module", params=QEMU_GAS)
def pair(request, tmp_path_factory):
    """qemu-ga and memplugd."""
    base = tmp_path_factory.mktemp("differential")
    theirs = start_qemu_ga(base / "ga", request.param)
    try:
        info = json.loads(theirs.ask([b'{"execute":"guest-info"}']).split(b"\n")[0])["return"]
        theirs.has_our_words = info["version"].startswith(WORDS) or (
            request.param == "newest" and bool(os.environ.get("SOAK")))
        ours = start_memplugd(base / "mp")
        yield theirs, ours
        assert ours.stop() == 0
    finally:
        theirs.stop()


def bytewise(data):
    """DATA as chunks of one byte."""
    return [data[i:i + 1] for i in range(len(data))]


def comparable(line, has_our_words):
    """The block size is the machine's own, the place in what qemu-ga has read is none of ours."""
    if not isinstance(line, dict):
        return line
    if isinstance(line.get("return"), dict) and set(line["return"]) == {"size"}:
        return {**line, "return": "SIZE"}
    if "error" in line:
        desc = re.sub(r"^\d+:\d+: (?=JSON)", "", line["error"]["desc"])
        if not has_our_words:
            desc = re.sub(r"^JSON parse error, .*", "JSON parse error", desc, flags=re.S)
        return {**line, "error": {**line["error"], "desc": desc}}
    return line


def outcome(daemon, chunks, has_our_words=True):
    """What DAEMON said."""
    return [(delimited, comparable(line, has_our_words))
            for delimited, line in parse_reply(daemon.ask(chunks))]


def test_there_are_enough_cases():
    """150 at least, no name twice, and no allowed difference that no case shows."""
    assert len(CASES) >= 150
    assert len({name for name, _, _ in CASES}) == len(CASES)
    assert {key for _, _, key in CASES if key} == set(ALLOWED)


def test_whole(pair):
    """Each case in one write."""
    theirs, ours = pair
    wrong = []
    for name, data, key in CASES:
        want, got = (outcome(daemon, [data], theirs.has_our_words) for daemon in pair)
        if key == "error-text-limit" and not theirs.has_our_words:
            continue
        if (want != got) != (key is not None):
            wrong.append("%s\n  sent    %r\n  qemu-ga %.1000r\n  ours    %.1000r\n  %s"
                         % (name, data[:200], want, got,
                            "should differ: " + key if key else "must not differ"))
    assert not wrong, "%d of %d cases:\n%s" % (len(wrong), len(CASES), "\n".join(wrong))


def test_byte_by_byte(pair):
    """Each short case in writes of one byte: what memplugd says is the same."""
    _, ours = pair
    wrong = []
    for name, data, _ in CASES:
        if len(data) <= BYTEWISE_MAX:
            whole, bits = ours.ask([data]), ours.ask(bytewise(data))
            if whole != bits:
                wrong.append("%s: %r, byte by byte %r" % (name, whole, bits))
    assert not wrong, "\n".join(wrong)


TOKENS = [b"{", b"}", b"[", b"]", b":", b",", b'"a"', b'"execute"', b'"guest-ping"', b'"id"', b"1", b"-",
          b"true", b"nul", b"#", b"+", b"\xff", b" ", b"\n", b'"\\x"', b"'b'", PING, b'"x\n', b"\x01", b"0e",
          b".5", b"A", b'"\xc3"']


def test_tokens_at_random(pair):
    """What no case has thought of."""
    theirs, _ = pair
    chooser = random.Random(1)
    for _ in range(400):
        data = b"".join(chooser.choices(TOKENS, k=chooser.randrange(1, 14)))
        want, got = (outcome(daemon, [data], theirs.has_our_words) for daemon in pair)
        assert want == got, data


def test_layout(pair):
    """The bytes of ordinary replies are qemu-ga's, spaces and all."""
    theirs, ours = pair
    for data in [PING, ping_id(b'[1, {"a": null, "b": "\xc3\xa9"}]'), b"\xff",
                 b'{"execute":"nope"}', b'{"execute":"nope","id":[1]}', b'{"id":{"a":null}}',
                 b'{"execute":"guest-sync","id":"x","arguments":{"id":7}}',
                 b'{"execute":"nope","id":1.5,"arguments":{}}',
                 b'{"execute":"guest-sync-delimited","arguments":{"id":1}}']:
        assert ours.ask([data]) == re.sub(rb'"\d+:\d+: JSON', b'"JSON', theirs.ask([data]))


def test_half_a_request_stays_with_its_connection(pair):
    """What one client began, the next does not feel (qemu-ga leaks it)."""
    _, ours = pair
    with ours.connect() as peer:
        peer.sendall(b'{"execute":"guest-pi')
    with ours.connect() as peer:
        peer.sendall(PING)
        assert peer.recv(100) == b'{"return": {}}\n'


def test_info(pair):
    """guest-info has qemu-ga's shape."""
    theirs, ours = pair
    want, got = (outcome(daemon, [b'{"execute":"guest-info"}'])[0][1]["return"]
                 for daemon in (theirs, ours))
    assert set(want) == set(got) == {"version", "supported_commands"}
    shape = {"name": str, "enabled": bool, "success-response": bool}
    for command in got["supported_commands"]:
        assert {key: type(value) for key, value in command.items()} == shape
    names = [command["name"] for command in got["supported_commands"]]
    assert len(names) == len(set(names))
    common = {name for name in names if name.startswith("guest-") and name[6:] not in names}
    assert common <= {command["name"] for command in want["supported_commands"]}
    assert len(common) == 7

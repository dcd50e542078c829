"""What QEMU's own tests ask of its guest agent (tests/unit/test-qga.c), of memplugd alone, of memplugd in front
of a qemu-ga, and of that qemu-ga, so that it is known to be what they ask."""
import json
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from daemons import PATIENCE_S, QEMU_GAS, start_memplugd, start_qemu_ga

BLOCKED = ("-b", "guest-ping,guest-get-time")


def agents(tmp_path, who, *options):
    """Starts them; the last one is to be asked."""
    if who == "memplugd":
        return [start_memplugd(tmp_path / "mp", *options)]
    which = who.split()[-1]
    theirs = start_qemu_ga(tmp_path / "ga", which, *options)
    if not who.startswith("in front of"):
        return [theirs]
    (tmp_path / "conf").write_text("[channel]\nupstream=%s\n" % theirs.path)
    return [theirs, start_memplugd(tmp_path / "mp", "-c", str(tmp_path / "conf"))]


class Client:
    """One connection, single quotes and all, as those tests have it."""

    def __init__(self, daemon):
        self.peer = daemon.connect()
        self.peer.settimeout(PATIENCE_S)
        self.lines = self.peer.makefile("rb")

    def ask(self, text):
        """The next line for it."""
        self.peer.sendall(text.encode())
        return json.loads(self.lines.readline())


@pytest.fixture(params=[(who, options) for who in
                        ["memplugd"] + ["%s %s" % (how, which) for which in QEMU_GAS
                                        for how in ("in front of", "alone")]
                        for options in ((), BLOCKED)], ids=lambda param: " ".join([param[0], *param[1]]))
def asked(request, tmp_path):
    """(who it is, a client of it, whether some are blocked)."""
    who, options = request.param
    started = agents(tmp_path, who, *options)
    try:
        yield who, Client(started[-1]), bool(options)
        assert started[-1].stop() == 0
    finally:
        for daemon in started:
            daemon.stop()


def check_sync(client):
    number = random.randrange(1 << 31)
    client.peer.sendall(b"\xff{'execute': 'guest-sync-delimited', 'arguments': {'id': %d } }" % number)
    while client.lines.read(1) != b"\xff":
        pass
    assert json.loads(client.lines.readline()) == {"return": number}
    assert client.ask("{'execute': 'guest-sync', 'arguments': {'id': %d } }" % number) == {"return": number}


def check_blocked(client, who):
    for name in ("guest-ping", "guest-get-time"):
        reply = client.ask("{'execute': '%s'}" % name)
        if who == "memplugd" and name == "guest-get-time":
            assert "has not been found" in reply["error"]["desc"]
        elif who.startswith("in front of") and name == "guest-ping":
            assert reply == {"return": {}}  # a command of its own, which its own lists block
        else:
            assert reply["error"]["class"] == "CommandNotFound" and "has been disabled" in reply["error"]["desc"]
    assert "return" in client.ask("{'execute': 'guest-get-memory-block-info'}")


def test_qga(asked):
    """Ten of its tests, and blockedrpcs."""
    who, client, is_blocked = asked
    check_sync(client)
    if is_blocked:
        check_blocked(client, who)
        return
    assert client.ask("{'execute': 'guest-ping'}") == {"return": {}}
    assert client.ask("{'execute': 'guest-ping', 'id': 1}")["id"] == 1
    assert client.ask("{'exec-oob': 'guest-ping'}")["error"]["class"] == "GenericError"
    reply = client.ask("{'execute': 'guest-invalid-cmd'}")["error"]
    assert reply["class"] == "CommandNotFound" and reply["desc"]
    assert client.ask("{'execute': 'guest-ping', 'arguments': {'foo': 42 }}")["error"] == {
        "class": "GenericError", "desc": "Parameter 'foo' is unexpected"}
    info = client.ask("{'execute': 'guest-info'}")["return"]
    assert info["version"] and all(isinstance(each["enabled"], bool) for each in info["supported_commands"])
    assert client.ask("{'execute': 'guest-get-memory-block-info'}")["return"]["size"] > 0
    blocks = client.ask("{'execute': 'guest-get-memory-blocks'}")["return"]
    assert all({"phys-index", "online"} <= set(block) for block in blocks)
    assert blocks or who.startswith("alone")

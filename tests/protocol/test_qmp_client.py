"""What qemu.qmp (QEMU's own client library, made for QMP) does with a guest agent, against memplugd.

It numbers its requests, sends several before the first is answered, finds replies by their id, hands
lines with "event" to listeners, reads lines of at most 10 MiB, and drops the connection at anything
else: no JSON object, a reply with an id that it does not know, or an error without an id.
"""
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from daemons import BLOCK_SIZE, start_memplugd

LINE_MAX = 10 << 20


class Disconnected(Exception):
    """The client would have dropped the connection."""


class QmpClient:
    """The client's rules (qemu.qmp's qmp_client.py, models.py), on one thread."""

    def __init__(self, peer):
        self.events = []
        self._stream = peer.makefile("rwb")
        self._replies = {}
        self._pending = set()
        self._next = 0

    def send(self, command, **arguments):
        """Sends a request; returns its id."""
        self._next += 1
        number = "__qmp#%05d" % self._next
        request = {"execute": command, "id": number}
        if arguments:
            request["arguments"] = arguments
        self._pending.add(number)
        self._stream.write(json.dumps(request).encode())
        self._stream.flush()
        return number

    def receive(self, number):
        """The reply with that id."""
        while number not in self._replies:
            self._take(self._stream.readline(LINE_MAX))
        return self._replies.pop(number)

    def _take(self, line):
        if not line.endswith(b"\n"):
            raise Disconnected("a line without an end: %r" % line[-100:])
        message = json.loads(line)
        if "event" in message:
            assert isinstance(message["event"], str) and isinstance(message["data"], dict)
            assert set(message["timestamp"]) == {"seconds", "microseconds"}
            self.events.append(message)
        elif message.get("id") not in self._pending:
            raise Disconnected("not ours: %s" % message)
        else:
            if "error" in message:
                assert set(message["error"]) == {"class", "desc"}
            self._pending.remove(message["id"])
            self._replies[message["id"]] = message


@pytest.fixture
def client(tmp_path):
    """A client of a daemon of its own."""
    daemon = start_memplugd(tmp_path / "mp")
    with daemon.connect() as peer:
        yield QmpClient(peer)
    assert daemon.stop() == 0


def test_many_in_flight(client):
    """Replies are found by id, whichever is asked for first; errors have their id too."""
    numbers = [client.send(command) for command in
               ["guest-ping", "nope", "guest-get-memory-block-info", "memory-cancel-unplug"] * 50]
    for at, number in reversed(list(enumerate(numbers))):
        reply = client.receive(number)
        assert ("error" in reply) == (at % 4 in (1, 3))
        if at % 4 == 2:
            assert reply["return"] == {"size": BLOCK_SIZE}


def test_events(client):
    """An event between replies goes to the listener."""
    client.receive(client.send("memory-set-events", enabled=True))
    current = client.receive(client.send("memory-get-status"))["return"]["guest-current"]
    numbers = [client.send("memory-set-target", bytes=current) for _ in range(20)]
    assert [client.receive(number)["return"] for number in numbers] == [{}] * 20
    client.receive(client.send("guest-ping"))
    assert [event["event"] for event in client.events] == ["MEMORY_TARGET_REACHED"] * 20
    assert client.events[0]["data"] == {"bytes": current}

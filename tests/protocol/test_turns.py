"""A client that floods the daemon does not keep the others waiting until its flood is over."""
import json
import socket
import threading

from daemon import PATIENCE_S, Daemon, wait_until

FLOOD = 300
LONG_FLOOD = 8000  # seconds, where five pings take a fraction of one


class Client:
    """A connection of its own; replies are read by a thread, and counted."""

    def __init__(self, daemon):
        self.replies = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(str(daemon.socket))
        self._lines = self._socket.makefile("rb")

    def send(self, *requests):
        self._socket.sendall(b"".join(json.dumps(request).encode() for request in requests))

    def read(self, count):
        for _ in range(count):
            assert self._lines.readline().endswith(b"\n")
            self.replies += 1

    def close(self):
        self._lines.close()
        self._socket.close()


def plan_flood(count=FLOOD):
    return [{"execute": "memory-plan-unplug", "arguments": {"bytes": 1 << 30}}] * count


def test_another_client_is_answered_in_the_middle_of_a_flood():
    with Daemon() as daemon:
        flooder = Client(daemon)
        threads = [threading.Thread(target=flooder.read, args=(LONG_FLOOD,)),
                   threading.Thread(target=flooder.send, args=plan_flood(LONG_FLOOD))]
        for thread in threads:
            thread.start()
        wait_until(lambda: flooder.replies > 0, "the flood to begin")
        for _ in range(5):
            assert daemon.ask("guest-ping") == {"return": {}}
        assert flooder.replies < LONG_FLOOD
        for thread in threads:
            thread.join()
        flooder.close()


def test_a_signal_is_seen_in_the_middle_of_a_flood():
    with Daemon() as daemon:
        flooder = Client(daemon)
        flooder.send(*plan_flood())
        flooder.read(1)
        daemon.process.terminate()
        assert daemon.process.wait(PATIENCE_S) == 0
        flooder.close()
        daemon.wait_logged("stopping")


def test_two_floods_take_turns():
    with Daemon() as daemon:
        floods = [Client(daemon), Client(daemon)]
        for flood in floods:
            flood.send(*plan_flood())
        floods[0].read(FLOOD // 2)
        # Whatever order they were read in, the second one is on its way too.
        floods[1].read(1)
        readers = [threading.Thread(target=floods[0].read, args=(FLOOD - FLOOD // 2,)),
                   threading.Thread(target=floods[1].read, args=(FLOOD - 1,))]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert [flood.replies for flood in floods] == [FLOOD, FLOOD]
        for flood in floods:
            flood.close()

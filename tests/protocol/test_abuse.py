"""What a peer may do to the daemon without harm: noise, speed, not reading, a sudden end."""
import os
import random
import resource
import socket
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from daemons import MARK_REPLY, MARK_REQUEST, exchange, start_memplugd, start_qemu_ga
from differential_cases import PING

SOAK = os.environ.get("SOAK") == "1"
INFO = b'{"execute":"guest-info"}'


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """memplugd, which must survive every test here and end well."""
    started = start_memplugd(tmp_path_factory.mktemp("abuse") / "mp")
    yield started
    assert started.stop() == 0


def status_kib(process, field):
    """A figure of /proc/PID/status in KiB."""
    for line in Path("/proc/%d/status" % process.pid).read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise AssertionError(field)


def cpu_seconds(process):
    """CPU time that the process has used."""
    fields = Path("/proc/%d/stat" % process.pid).read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_random_bytes(daemon, capsys):
    """10 million random bytes leave the memory within 1 MiB of where it was."""
    source = random.Random(1)
    with daemon.connect() as peer:
        exchange(peer, [source.randbytes(100000), MARK_REQUEST], MARK_REPLY)
        before = status_kib(daemon.process, "VmRSS")
        for _ in range(100):
            exchange(peer, [source.randbytes(100000), MARK_REQUEST], MARK_REPLY)
        after = status_kib(daemon.process, "VmRSS")
    with capsys.disabled():
        print("# VmRSS %d KiB, after 10 million random bytes %d KiB" % (before, after))
    if not os.environ.get("MEMPLUG_BUILD", "").endswith("sanitize"):
        assert after - before <= 1024


def test_noise_of_json(daemon):
    """Random pieces of JSON: the connection always comes back with 0xFF and a sync."""
    pieces = [b"{", b"}", b"[", b"]", b":", b",", b'"', b"'", b"\\", PING, b'"id"', b"1", b"-",
              b"\xff", b"\xc3\xa9", b"\n", b"x", INFO, b'{"execute":"guest-sync"', b"\\ud800"]
    source = random.Random(2)
    for _ in range(300):
        with daemon.connect() as peer:
            noise = b"".join(source.choice(pieces) for _ in range(source.randrange(1, 60)))
            exchange(peer, [noise, MARK_REQUEST], MARK_REPLY)


def pings_per_second(server):
    """1,000 pings in one go, the best of several tries."""
    best = 0.0
    for _ in range(7):
        with server.connect() as peer:
            began = time.perf_counter()
            exchange(peer, [1000 * (PING + b"\n"), MARK_REQUEST], MARK_REPLY)
            best = max(best, 1000 / (time.perf_counter() - began))
    return best


def test_throughput(daemon, tmp_path, capsys):
    """Pipelined pings are answered at least as fast as by qemu-ga."""
    theirs = start_qemu_ga(tmp_path / "ga")
    try:
        ratio = pings_per_second(daemon) / pings_per_second(theirs)
    finally:
        theirs.stop()
    with capsys.disabled():
        print("# pings per second, memplugd : qemu-ga = %.2f" % ratio)
    if not os.environ.get("MEMPLUG_BUILD", "").endswith("sanitize"):
        assert ratio >= 1


def test_client_that_does_not_read(daemon):
    """It costs no CPU and bounded memory, and gets everything, in order, when it reads again."""
    requests = b"".join(b'{"execute":"guest-info","id":%d}\n' % n for n in range(20000))
    before = status_kib(daemon.process, "VmRSS")
    with daemon.connect() as peer:
        unsent = memoryview(requests)
        peer.settimeout(0.5)
        try:
            while unsent:
                unsent = unsent[peer.send(unsent):]
            raise AssertionError("all of it was taken")
        except socket.timeout:
            pass
        cpu = cpu_seconds(daemon.process)
        time.sleep(1)
        assert cpu_seconds(daemon.process) - cpu <= 0.02
        assert status_kib(daemon.process, "VmRSS") - before <= 4096
        with daemon.connect() as other:
            exchange(other, [PING, MARK_REQUEST], MARK_REPLY)
        data = exchange(peer, [bytes(unsent), MARK_REQUEST], MARK_REPLY)
    lines = data.split(b"\n")
    assert len(lines) == 20000 + 1 + 1 + 1  # the error for 0xFF, the sync, nothing
    for number, line in enumerate(lines[:20000]):
        assert line.startswith(b'{"return": {"version"') and line.endswith(b'"id": %d}' % number)


def test_clients_at_once(daemon):
    """Each connection has a parser of its own."""
    peers = [daemon.connect() for _ in range(4)]
    try:
        for peer in peers:
            peer.sendall(b'{"execute":"guest-pi')
        for peer in reversed(peers):
            peer.sendall(b'ng"}')
            assert peer.recv(100) == b'{"return": {}}\n'
    finally:
        for peer in peers:
            peer.close()


def test_no_descriptor_left(tmp_path):
    """A client that cannot be taken waits in the queue, and costs no CPU meanwhile."""
    daemon = start_memplugd(tmp_path / "mp")
    with daemon.connect() as first:
        exchange(first, [PING, MARK_REQUEST], MARK_REPLY)  # what came before has been seen to go
        fds = {int(name) for name in os.listdir("/proc/%d/fd" % daemon.process.pid)}
        free = min(set(range(len(fds) + 1)) - fds)
        limits = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (free, limits[1]))
        with daemon.connect() as second:
            cpu = cpu_seconds(daemon.process)
            time.sleep(1)
            assert cpu_seconds(daemon.process) - cpu <= 0.02
            exchange(first, [PING, MARK_REQUEST], MARK_REPLY)
            resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, limits)
            exchange(second, [PING, MARK_REQUEST], MARK_REPLY)
    assert daemon.stop() == 0
    assert "cannot take a client" in (tmp_path / "mp" / "log").read_text()


@pytest.mark.parametrize("way", ["idle", "half request", "half reply"])
def test_sigterm(tmp_path, way):
    """SIGTERM ends it with 0, at once."""
    for attempt in range(70 if SOAK else 7):
        daemon = start_memplugd(tmp_path / str(attempt))
        with daemon.connect() as peer:
            if way == "half request":
                peer.sendall(b'{"execute":"gu')
            elif way == "half reply":
                peer.sendall(500 * INFO)
                peer.recv(5)
            assert daemon.stop() == 0  # which waits for some seconds, and not for the client

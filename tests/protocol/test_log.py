"""The log may stand still, or its reader; the daemon may not."""
import fcntl
import os
import re
import select
import socket
import subprocess

import pytest

from daemon import BUILD, PATIENCE_S, Daemon, wait_until

DROPPED = re.compile(r"warning: (\d+) lines of the log were dropped")


class LoggingDaemon(Daemon):
    """Its standard error, or its -l, is what the test says."""

    def __init__(self, stderr=None, arguments=()):
        super().__init__()
        self._stderr = stderr
        self._arguments = list(arguments)

    def start(self):
        self.process = subprocess.Popen(
            [str(BUILD / "memplugd"), "--sysroot=%s" % self.tree.root, "-m", "unix-listen",
             "-p", str(self.socket), "-t", str(self.folder / "state"), "-c", str(self.config)]
            + self._arguments, stdin=subprocess.DEVNULL, stderr=self._stderr)
        wait_until(self._listens, "memplugd to listen")


def refuse_many(daemon, jobs):
    """Jobs that fail at once, each with a reason for each of its devices."""
    for _ in range(jobs):
        answer = daemon.ask("memory-prepare-unplug", devices=[{"slot": n} for n in range(100, 200)])
        assert "job" in answer["return"]


@pytest.fixture(params=["pipe", "socket"])
def channel(request):
    """A log that the test reads only when it likes: (the test's end, the daemon's)."""
    if request.param == "pipe":
        ours, theirs = os.pipe()
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 16384)
    else:
        pair = socket.socketpair()
        pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ours, theirs = pair[0].detach(), pair[1].detach()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def read_all(fd):
    """What is there now."""
    found = b""
    while select.select([fd], [], [], 0)[0]:
        more = os.read(fd, 65536)
        if not more:
            break
        found += more
    return found.decode()


def test_a_log_that_is_not_read_stops_nothing(channel):
    ours, theirs = channel
    os.set_blocking(theirs, True)
    with LoggingDaemon(stderr=theirs) as daemon:
        refuse_many(daemon, 8)  # more than so small a pipe or socket holds
        assert daemon.ask("guest-ping") == {"return": {}}
        assert "dropped" not in read_all(ours)
        daemon.signal("SIGHUP")
        told = []
        wait_until(lambda: told.append(read_all(ours)) or "settings loaded anew" in "".join(told),
                   "the daemon to say that it has loaded its settings")
        assert int(DROPPED.search("".join(told))[1]) > 0
        refuse_many(daemon, 12)
        daemon.process.terminate()
        assert daemon.process.wait(PATIENCE_S) == 0


def test_a_peer_cannot_fill_the_log():
    with Daemon() as daemon:
        refuse_many(daemon, 60)
        daemon.process.terminate()
        assert daemon.process.wait(PATIENCE_S) == 0
        assert len(daemon.log().splitlines()) < 2000


@pytest.mark.parametrize("is_option", [True, False])
def test_a_file_has_every_line_when_the_daemon_has_ended(tmp_path, is_option):
    path = tmp_path / "log"
    with open(path, "ab") as file:
        arguments = ["-l", str(path)] if is_option else []
        with LoggingDaemon(stderr=None if is_option else file, arguments=arguments) as daemon:
            refuse_many(daemon, 2)
            daemon.process.terminate()
            assert daemon.process.wait(PATIENCE_S) == 0
    lines = path.read_text().splitlines()
    assert any("is up" in line for line in lines)
    assert "stopping" in lines[-1] or any("stopping" in line for line in lines)


def test_a_killed_daemon_leaves_no_process_that_writes(tmp_path):
    with LoggingDaemon(arguments=["-l", str(tmp_path / "log")]) as daemon:
        children = "/proc/%d/task/%d/children" % (daemon.process.pid, daemon.process.pid)
        with open(children, encoding="ascii") as file:
            writer, = file.read().split()
        daemon.process.kill()
        daemon.process.wait()
        wait_until(lambda: not os.path.exists("/proc/" + writer), "the writer to end")

"""The ways to reach memplugd: a serial line, a vsock socket, a socket of the service manager's."""
import os
import pty
import select
import socket
import subprocess
import sys
import tty
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from daemon import BUILD, PATIENCE_S, Daemon, wait_until

PING = b'{"execute":"guest-ping"}'


class Started(Daemon):
    """memplugd with a method and a path, and descriptors that it inherits from 3 on."""

    def __init__(self, method, path, inherited=(), environment=None):
        super().__init__(environment=environment)
        self.arguments, self.inherited = ["-m", method, "-p", path], inherited

    def start(self):
        def inherit():
            kept = [os.dup2(fd, 100 + at) for at, fd in enumerate(self.inherited)]
            for at, fd in enumerate(kept):
                os.dup2(fd, 3 + at)

        # LISTEN_PID must be the daemon's own.
        script = 'LISTEN_PID=$$ exec "$0" "$@"' if self.inherited else 'exec "$0" "$@"'
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", script, str(BUILD / "memplugd"), "--sysroot=%s" % self.tree.root,
                 "-t", str(self.folder / "state"), "-c", str(self.config), *self.arguments],
                env=self.environment, stdin=subprocess.DEVNULL, stderr=log, close_fds=False,
                preexec_fn=inherit)
        wait_until(lambda: "is up" in self.log() or self.process.poll() is not None, "the start")


@pytest.fixture(name="line")
def line_fixture():
    """(the host's end of a serial line, the path of the guest's)."""
    host, guest = pty.openpty()
    tty.setraw(host)
    yield host, os.ttyname(guest)
    os.close(guest)
    os.close(host)


def read_lines(fd, count):
    """COUNT lines of a serial line."""
    data = b""
    while data.count(b"\n") < count:
        assert select.select([fd], [], [], PATIENCE_S)[0], data
        data += os.read(fd, 4096)
    return data


def test_serial_line(line):
    """Every byte passes, half a request of an old host is resynced, late output is dropped."""
    host, path = line
    with Started("isa-serial", path) as daemon:
        assert "listening on the port %s" % path in daemon.log()
        os.write(host, PING)
        assert read_lines(host, 1) == b'{"return": {}}\n'
        os.write(host, b'{"execute":"guest-ping","id":"\\u0003\\u0011 \xc3\xa9\x7f"}\r\n')
        assert b'"id": "\\u0003\\u0011 \\u00E9\\u007F"' in read_lines(host, 1)
        os.write(host, b'{"execute":"gue')
        os.write(host, b'\xff{"execute":"guest-sync-delimited","arguments":{"id":7}}')
        assert read_lines(host, 2).endswith(b'\xff{"return": 7}\n')
        os.write(host, PING * 200)
        assert read_lines(host, 200) == b'{"return": {}}\n' * 200


def test_what_is_no_line_is_said(tmp_path):
    """A FIFO, say."""
    os.mkfifo(tmp_path / "fifo")
    with Started("isa-serial", str(tmp_path / "fifo")) as daemon:
        assert "it is no serial line" in daemon.log()


def listening_socket(folder):
    """A unix socket that listens."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "activated"))
    listener.listen(4)
    return listener


def ask(path):
    """A ping's reply."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(PATIENCE_S)
        peer.connect(str(path))
        peer.sendall(PING)
        return peer.recv(100)


def test_socket_of_the_service_manager(tmp_path):
    """It goes before method and path, and is not removed: its owner listens on."""
    with listening_socket(tmp_path) as listener:
        with Started("unix-listen", str(tmp_path / "unused"), [listener.fileno()],
                     {"LISTEN_FDS": "1"}) as daemon:
            for _ in range(2):
                assert ask(tmp_path / "activated") == b'{"return": {}}\n'
                daemon.signal("SIGTERM")
                assert daemon.process.wait(PATIENCE_S) == 0
                daemon.start()
        assert (tmp_path / "activated").exists() and not (tmp_path / "unused").exists()


def test_what_is_no_listening_socket_ends_it(tmp_path):
    """And so do two of them."""
    with listening_socket(tmp_path) as listener, open(tmp_path / "file", "w") as file:
        for inherited in ([file.fileno()], [listener.fileno(), listener.fileno()]):
            with Started("unix-listen", str(tmp_path / "unused"), inherited,
                         {"LISTEN_FDS": str(len(inherited))}) as daemon:
                assert daemon.process.wait(PATIENCE_S) == 1
                assert "cannot listen on the socket of the service manager" in daemon.log()


def has_vsock():
    """Whether this kernel has it."""
    try:
        socket.socket(socket.AF_VSOCK).close()
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_vsock(), reason="needs vsock")
def test_vsock():
    """It listens where it is told; an address without a meaning ends it."""
    with socket.socket(socket.AF_VSOCK) as probe:
        probe.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        port = probe.getsockname()[1]
    with Started("vsock-listen", "%d:%d" % (socket.VMADDR_CID_ANY, port)) as daemon:
        assert "listening on vsock:4294967295:%d" % port in daemon.log()
        with socket.socket(socket.AF_VSOCK) as second, pytest.raises(OSError):
            second.bind((socket.VMADDR_CID_ANY, port))
    for address, said in (("4294967296:1", "Invalid argument"), ("12345:1", "annot assign"),
                          ("/a:b", "Invalid argument")):
        with Started("vsock-listen", address) as daemon:
            assert daemon.process.wait(PATIENCE_S) == 1
            assert said in daemon.log()

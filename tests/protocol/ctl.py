"""memplugctl as a test runs it: plainly, in a terminal, and against a guest that a test makes up."""
import atexit
import fcntl
import json
import os
import pty
import select
import socket
import struct
import subprocess
import termios
import threading
import time

from daemon import BUILD, PATIENCE_S

DONE, REFUSED, USAGE, NO_CONNECTION = 0, 1, 2, 3
ROWS = 24


def run(*words, environment=None, **options):
    """Returns (exit status, standard output, standard error)."""
    done = subprocess.run([str(BUILD / "memplugctl"), *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", env=environment, timeout=PATIENCE_S, check=False,
                          **options)
    return done.returncode, done.stdout, done.stderr


def start(*words, environment=None, stdout=subprocess.PIPE, **options):
    """memplugctl without waiting for its end."""
    process = subprocess.Popen([str(BUILD / "memplugctl"), *words], stdin=subprocess.DEVNULL,
                               stdout=stdout, stderr=subprocess.DEVNULL, env=environment,
                               bufsize=0, **options)
    atexit.register(process.kill)  # a test that fails leaves none behind
    return process


def next_line(process):
    """The next line of what start() started, within a generous while."""
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
    assert ready, "memplugctl says nothing"
    return process.stdout.readline()


class Screen:
    """memplugctl in a terminal of its own, with so many columns."""

    def __init__(self, environment, *words, columns=80):
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        self.process = subprocess.Popen([str(BUILD / "memplugctl"), *words], stdin=theirs,
                                        stdout=theirs, stderr=theirs, env=environment,
                                        preexec_fn=self._take_terminal)
        os.close(theirs)
        self._output = b""

    @staticmethod
    def _take_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def _read(self):
        """FALSE at the end."""
        ready, _, _ = select.select([self._ours], [], [], PATIENCE_S)
        assert ready, "nothing for a while after %r" % self._output
        try:
            self._output += os.read(self._ours, 4096)
        except OSError:
            return False  # the other end is closed
        return True

    def until(self, text):
        """Reads until TEXT is there."""
        deadline = time.monotonic() + PATIENCE_S
        while text.encode() not in self._output:
            assert self._read() and time.monotonic() < deadline, self._output

    def press(self, keys):
        """Types."""
        os.write(self._ours, keys.encode())

    def end(self):
        """All that was written, once memplugctl has ended."""
        while self._read():
            pass
        os.close(self._ours)
        self.process.wait(PATIENCE_S)
        return self._output.decode()


class Guest:
    """Answers the synchronisation properly and then whatever the test says."""

    def __init__(self, path, answers=()):
        self.path = str(path)
        self._answers = list(answers)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def answer(self, request):
        """The answer's bytes: the next of those given, and then empty lists."""
        del request
        return self._answers.pop(0) if self._answers else b'{"return": []}\n'

    def _serve(self):
        client, _ = self._listener.accept()
        stream = client.makefile("rb")
        try:
            for line in stream:
                request = json.loads(line.lstrip(b"\xff"))
                if request["execute"] == "guest-sync-delimited":
                    client.sendall(b"\xff" + json.dumps(
                        {"return": request["arguments"]["id"]}).encode() + b"\n")
                else:
                    client.sendall(self.answer(request))
        except OSError:
            pass  # it has seen enough of us


class GuestWithJob(Guest):
    """A guest whose only job is what `job` says it is."""

    def __init__(self, path, **job):
        self.job = {"job": 1, "state": "offlining", "devices": [], "blocks-done": 100,
                    "blocks-total": 1000, "bytes": 1000 << 27, "reasons": [], **job}
        super().__init__(path)

    def answer(self, request):
        returned = {"memory-prepare-unplug": {"job": 1}, "memory-query-unplug": self.job}.get(
            request["execute"], {})
        return json.dumps({"return": returned}).encode() + b"\n"

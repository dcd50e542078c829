"""Root shells in the guest, each on a virtio-serial port of its own.

There are several because a command can get stuck in the kernel (a write to a
block's `state` does, behind a hung eject) and the test must still look around.
"""
import random
import re
import shlex
import socket
import threading
import time

from .waiting import PATIENCE_S, WaitedInVain, wait_until


class ShellFailed(AssertionError):
    """A command that had to succeed did not."""


class Shell:
    """One port. A shell whose command never ended is left alone (`busy`)."""

    def __init__(self, path):
        self.busy = False
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))

    def run(self, command, timeout):
        """Returns (exit status, output)."""
        mark = "@%08x" % random.getrandbits(32)
        line = "sh -c %s </dev/null 2>&1; echo %s $?\n" % (shlex.quote(command), mark)
        self.busy = True
        self._socket.settimeout(timeout)
        self._socket.sendall(line.encode())
        output, status = self._until(mark, command, timeout)
        self.busy = False
        return status, output

    def wait_greeting(self, words, timeout):
        """Reads up to the line with these words, and drops that."""
        deadline, received = time.monotonic() + timeout, b""
        while words not in received or not received.endswith(b"\n"):
            self._socket.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                data = self._socket.recv(1 << 16)
            except socket.timeout:
                raise WaitedInVain("the guest's shell did not greet in %d s" % timeout) from None
            if not data:
                raise ConnectionError("the guest's shell went away before it was there")
            received += data

    def close(self):
        self._socket.close()

    def _until(self, mark, command, timeout):
        deadline = time.monotonic() + timeout
        pattern = re.compile(re.escape(mark.encode()) + rb" (\d+)\n")
        received = b""
        while True:
            found = pattern.search(received)
            if found:
                return received[:found.start()].decode(errors="replace"), int(found[1])
            self._socket.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                data = self._socket.recv(1 << 16)
            except socket.timeout:
                raise WaitedInVain("the guest's shell did not finish %r in %d s; so far: %r"
                                   % (command, timeout, received[-500:])) from None
            if not data:
                raise ConnectionError("the guest's shell went away during %r" % command)
            received += data


class Shells:
    """Takes whichever shell is free."""

    def __init__(self, paths):
        self._shells = [Shell(path) for path in paths]
        self._lock = threading.Lock()
        self._next_job = 0

    def wait_greeting(self, words, timeout):
        """Waits until each shell has said that it is there."""
        for shell in self._shells:
            shell.wait_greeting(words, timeout)

    def run(self, command, timeout=PATIENCE_S):
        """Runs a command and returns (exit status, output)."""
        with self._lock:
            free = [shell for shell in self._shells if not shell.busy]
            if not free:
                raise ShellFailed("every shell of the guest is stuck; cannot run %r" % command)
            free[0].busy = True
        return free[0].run(command, timeout)

    def output(self, command, timeout=PATIENCE_S):
        """Runs a command that has to succeed and returns what it printed."""
        status, output = self.run(command, timeout)
        if status:
            raise ShellFailed("%r ended with %d: %s" % (command, status, output))
        return output

    def start(self, command):
        """Starts a command in the background; returns a Job."""
        with self._lock:
            self._next_job += 1
            job = Job(self, "/run/jobs/%d" % self._next_job, command)
        job.begin()
        return job

    def close(self):
        for shell in self._shells:
            shell.close()


class Job:
    """A background command in the guest, in a process group of its own."""

    def __init__(self, shells, files, command):
        self.command = command
        self.group = None
        self._shells = shells
        self._files = files

    def begin(self):
        inner = shlex.quote("echo $$ >%s.pid; %s" % (self._files, self.command))
        self._shells.output("( setsid sh -c %s >%s.out 2>&1; echo $? >%s.status ) "
                            ">/dev/null 2>&1 &" % (inner, self._files, self._files))
        read_group = "cat %s.pid 2>/dev/null || true" % self._files
        self.group = int(wait_until(lambda: self._shells.output(read_group).strip(),
                                    "%r to start" % self.command))

    def output(self):
        return self._shells.output("cat %s.out" % self._files)

    def status(self):
        """The exit status, or None while it runs."""
        text = self._shells.output("cat %s.status 2>/dev/null || true" % self._files).strip()
        return int(text) if text else None

    def wait(self, timeout=PATIENCE_S):
        """Waits for the end; returns (exit status, output)."""
        wait_until(lambda: self.status() is not None, "%r to end" % self.command, timeout)
        return self.status(), self.output()

    def wait_output(self, word, timeout=PATIENCE_S):
        """Waits until the output contains `word` and returns the output; fails if it ends first."""
        def look():
            ended = self.status() is not None
            output = self.output()
            if ended and word not in output:
                raise ShellFailed("%r ended before it said %r: %s" % (self.command, word, output))
            return output if word in output else None

        return wait_until(look, "%r to say %r" % (self.command, word), timeout)

    def kill(self, name="TERM"):
        """Signals the whole group; a job that has ended is no error."""
        self._shells.run("kill -%s -%d" % (name, self.group))

"""Starts qemu-ga and memplugd side by side on unix sockets of their own, and talks to them.

Nothing that changes the machine is ever sent to qemu-ga: see ask(), which refuses to.
"""
import fcntl
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("MEMPLUG_BUILD", "build")
# The only commands that may reach a qemu-ga that runs on the machine of the tests.
HARMLESS = {"guest-sync", "guest-sync-delimited", "guest-ping", "guest-info",
            "guest-get-memory-block-info"}
MARK = 8675309
sys.path.insert(0, str(ROOT / "tests/vm"))

from guest.packages import unpack_suite  # noqa: E402  needs the path above

PATIENCE_S = 120  # ends only what is hopeless; nothing measures time
# Ends what is open, and marks the end of the answers. Not a delimited sync: that one may drop what
# is unsent.
MARK_REQUEST = b'\xff{"execute": "guest-sync", "arguments": {"id": %d}}\n' % MARK
MARK_REPLY = b'{"return": %d}\n' % MARK
BLOCK_SIZE = 128 << 20


def make_tree(root, block_size=BLOCK_SIZE, boot_blocks=8, dimm_blocks=4):
    """A small /sys and /proc: boot memory and as many blocks again, all online."""
    memory = root / "sys/devices/system/memory"
    memory.mkdir(parents=True)
    (memory / "block_size_bytes").write_text("%x\n" % block_size)
    (memory / "auto_online_blocks").write_text("offline\n")
    (root / "sys/devices/system/node/node0").mkdir(parents=True)
    for index in [*range(boot_blocks), *range(32, 32 + dimm_blocks)]:
        block = memory / ("memory%d" % index)
        block.mkdir()
        zone = "Movable" if index >= 32 else "DMA32"
        for name, value in [("state", "online"), ("phys_index", "%08x" % index),
                            ("valid_zones", zone), ("online", "1"), ("removable", "1")]:
            (block / name).write_text(value + "\n")
        (block / "node0").symlink_to("../../node/node0")
    total_kib = (boot_blocks + dimm_blocks) * block_size // 1024
    proc = root / "proc"
    (proc / "sys/kernel/random").mkdir(parents=True)
    (proc / "sys/kernel/random/boot_id").write_text("00000000-0000-4000-8000-000000000000\n")
    (proc / "sys/kernel/osrelease").write_text("6.1.0\n")
    (proc / "meminfo").write_text("MemTotal: %d kB\nMemFree: %d kB\nMemAvailable: %d kB\n"
                                  % (total_kib, total_kib // 2, total_kib // 2))
    (proc / "iomem").write_text(
        "00001000-%08x : System RAM\n%09x-%09x : System RAM\n"
        % (boot_blocks * block_size - 1, 32 * block_size, (32 + dimm_blocks) * block_size - 1))
    (proc / "zoneinfo").write_text("".join(
        "Node 0, zone %8s\n  pages free     100000\n        min      1000\n"
        "        low      2000\n        high     3000\n        spanned  %d\n"
        "        present  %d\n        managed  %d\n" % (zone, pages, pages, pages)
        for zone, pages in [("DMA32", 262144), ("Movable", 131072)]))
    return root


def check_harmless(data):
    """Fails where the bytes could make qemu-ga do anything but talk about the protocol."""
    text = data.decode("latin-1")
    for name in re.findall(r"guest-[a-z-]+", text):
        if name not in HARMLESS and not name.startswith(("guest-s-", "guest-pi")):
            raise AssertionError("would send %s to qemu-ga" % name)


class Daemon:
    """One running daemon and its socket."""

    def __init__(self, argv, path, log, guard=None):
        self.path = str(path)
        self._guard = guard or (lambda data: None)
        self._log = open(log, "wb")
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self._log,
                                        stderr=self._log)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.connect().close()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise AssertionError("%s did not start: %s"
                                         % (argv[0], Path(log).read_text(errors="replace")))
                time.sleep(0.02)

    def connect(self):
        """A new connection."""
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(PATIENCE_S)
        peer.connect(self.path)
        return peer

    def ask(self, chunks):
        """What comes back for these chunks, sent one by one on a connection of their own."""
        data = b"".join(chunks)
        self._guard(data)
        with self.connect() as peer:
            return exchange(peer, [*chunks, MARK_REQUEST], MARK_REPLY)[:-len(MARK_REPLY)]

    def stop(self):
        """Ends the daemon, and tells its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._log.close()


def exchange(peer, chunks, end):
    """Sends chunk by chunk while it reads all bytes up to and with END."""
    data = bytearray()
    unsent = [memoryview(chunk) for chunk in reversed(chunks)]
    while not data.endswith(end):
        readable, writable, _ = select.select([peer], [peer] if unsent else [], [], PATIENCE_S)
        if not readable and not writable:
            raise AssertionError("nothing for %d s after %r" % (PATIENCE_S, bytes(data[-200:])))
        if writable:
            rest = unsent.pop()
            rest = rest[peer.send(rest, socket.MSG_DONTWAIT):]
            if rest:
                unsent.append(rest)
        if readable:
            more = peer.recv(1 << 16)
            if not more:
                raise AssertionError("closed after %r" % bytes(data[-200:]))
            data += more
    return bytes(data)


# The two that memplugd is held against.
QEMU_GAS = ["installed", "newest"]


def qemu_ga(which="installed"):
    """The words that start a qemu-ga: the installed one, or the newest in Debian's archive, which runs in
    a root of its own with its own libraries. That is fetched once, as the guests' packages are."""
    if which == "installed":
        program = shutil.which("qemu-ga", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
        assert program, "qemu-ga is not installed"
        return [program]
    root = ROOT / "build/guest/qemu-ga"
    root.parent.mkdir(parents=True, exist_ok=True)
    with open(root.with_name("qemu-ga.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unpack_suite("qemu-guest-agent", "sid", root)
    loader, = root.glob("usr/lib*/ld-linux*.so.?")
    libraries, = root.glob("usr/lib/*-linux-gnu")
    return [str(loader), "--library-path", str(libraries), str(root / "usr/sbin/qemu-ga")]


def start_qemu_ga(directory, which="installed", *options):
    """A qemu-ga; OPTIONS come behind."""
    words = qemu_ga(which)
    directory.mkdir()
    sock = directory / "ga.sock"
    return Daemon([*words, "-m", "unix-listen", "-p", str(sock), "-t", str(directory), *options], sock,
                  directory / "log", check_harmless)


def start_memplugd(directory, *options, tree=make_tree):
    """memplugd on a tree of its own, made by TREE; OPTIONS come behind."""
    directory.mkdir()
    tree = tree(directory / "tree")
    sock = directory / "mp.sock"
    config = directory / "memplugd.conf"
    config.write_text("")
    return Daemon([str(BUILD / "memplugd"), "-m", "unix-listen", "-p", str(sock), "-t",
                   str(directory / "state"), "-c", str(config), "--sysroot=%s" % tree, *options],
                  sock, directory / "log")


def parse_reply(data):
    """Lines as comparable values: (has 0xFF, object), or the line's bytes where it is no JSON."""
    lines = []
    for line in data.split(b"\n"):
        if not line:
            continue
        delimited = line.startswith(b"\xff")
        text = line[1:] if delimited else line
        try:
            lines.append((delimited, json.loads(text.decode("ascii"))))
        except ValueError:
            lines.append((delimited, text))
    return lines

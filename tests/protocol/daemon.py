"""memplugd on this machine, looking at a made-up tree: what needs no guest and no kernel."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("MEMPLUG_BUILD", "build")
PATIENCE_S = 60
BLOCK_BYTES = 128 << 20


def wait_until(predicate, what):
    """Calls `predicate` until it returns something true, and returns that."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        seen = predicate()
        if seen:
            return seen
        assert time.monotonic() < deadline, "waited in vain for %s; last seen: %r" % (what, seen)
        time.sleep(0.02)


class Tree:
    """A sysroot: four blocks of boot RAM and one DIMM of four blocks in slot 0."""

    def __init__(self, root):
        self.root = Path(root)
        memory = "sys/devices/system/memory/"
        dimm = "sys/devices/LNXSYSTM:00/PNP0C80:00/"
        self.write(memory + "block_size_bytes", "%x\n" % BLOCK_BYTES)
        self.write(memory + "auto_online_blocks", "offline\n")
        for name, text in (("path", "\\_SB_.MHPC.MP00"), ("uid", "0"), ("status", "15")):
            self.write(dimm + name, text + "\n")
        for index in range(4):
            self.block(index, "Normal")
        for index in range(32, 36):
            self.block(index, "Movable")
            (self.root / memory / ("memory%d" % index) / "firmware_node").symlink_to(
                "../../../LNXSYSTM:00/PNP0C80:00")
        self.write("sys/firmware/memmap/0/start", "0x0\n")
        self.write("sys/firmware/memmap/0/end", "0x1fffffff\n")
        self.write("sys/firmware/memmap/0/type", "System RAM\n")
        self.write("proc/meminfo", "MemTotal: 1048576 kB\nMemFree: 900000 kB\n"
                                   "MemAvailable: 900000 kB\n")
        self.write("proc/iomem", "")
        self.write("proc/sys/kernel/osrelease", "6.1.0-test\n")
        self.write("proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def block(self, index, zone):
        folder = "sys/devices/system/memory/memory%d/" % index
        self.write(folder + "state", "online\n")
        self.write(folder + "valid_zones", zone + "\n")
        self.write(folder + "phys_index", "%08x\n" % index)
        (self.root / folder / "node0").mkdir(exist_ok=True)


class Daemon:
    """A running memplugd, for a `with` statement; `bus` starts a D-Bus daemon of its own first."""

    def __init__(self, bus=False, config="", environment=None, port=None):
        self.port = port  # a port in place of the socket
        self.folder = Path(tempfile.mkdtemp(prefix="memplug-daemon."))
        self.folder.chmod(0o755)
        self.tree = Tree(self.folder / "root")
        self.config = self.folder / "memplugd.conf"
        self.config.write_text(config)
        self.socket = self.folder / "agent.sock"
        self.environment = dict(os.environ, **(environment or {}))
        self.environment.pop("DBUS_SYSTEM_BUS_ADDRESS", None)
        self.bus = self._start_bus() if bus else None
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        for process in (self.process, self.bus):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder)

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [str(BUILD / "memplugd"), "--sysroot=%s" % self.tree.root,
                 "-m", "virtio-serial" if self.port else "unix-listen",
                 "-p", str(self.port or self.socket), "-t", str(self.folder / "state"), "-c", str(self.config)],
                env=self.environment, stdin=subprocess.DEVNULL, stderr=log)
        wait_until(self._listens, "memplugd to listen")

    def signal(self, name):
        self.process.send_signal(getattr(signal, name))

    def log(self):
        return (self.folder / "log").read_text()

    def wait_logged(self, text, since=0):
        """Waits until `text` stands behind the first `since` characters of the log, which a process
        of its own writes. Returns what stands there."""
        wait_until(lambda: text in self.log()[since:], "%r in the log" % text)
        return self.log()[since:]

    def ask(self, command, **arguments):
        """One command over the channel; returns the reply as it came."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(self.socket))
            request = {"execute": command, "arguments": arguments}
            client.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(client.makefile("rb").readline())

    def _listens(self):
        assert self.process.poll() is None, self.log()
        if self.port:
            return True
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.socket))
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False  # not bound yet, or not listening yet

    def _start_bus(self):
        address = "unix:path=%s" % (self.folder / "bus")
        rules = "".join('<allow %s="%s"/>' % rule for rule in (
            ("user", "*"), ("own", "*"), ("send_type", "method_call"), ("send_type", "signal"),
            ("receive_type", "method_call"), ("receive_type", "method_return"),
            ("receive_type", "error"), ("receive_type", "signal"))) + "".join(
                '<allow send_requested_reply="true" send_type="%s"/>' % kind
                for kind in ("method_return", "error"))
        (self.folder / "bus.conf").write_text(
            '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" '
            '"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
            '<busconfig><type>system</type><listen>%s</listen><auth>EXTERNAL</auth>'
            '<policy context="default">%s</policy></busconfig>' % (address, rules))
        self.environment["DBUS_SYSTEM_BUS_ADDRESS"] = address
        bus = subprocess.Popen(["dbus-daemon", "--nofork", "--print-address=1",
                                "--config-file=%s" % (self.folder / "bus.conf")],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
        assert bus.stdout.readline(), "dbus-daemon did not start"
        return bus

"""One QEMU guest: booted, talked to, and ended by its own pid whatever happens."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

from .channel import Channel
from .image import Image
from .memory import Memory
from .qmp import Qmp
from .shell import Shells
from .waiting import PATIENCE_S, WaitedInVain, wait_until

AGENT_PORT = "org.memplug.agent.0"
N_SHELLS = 3
BOOT_S = 300
TAIL_LINES = 40
# arm64 is given memory while it runs by ACPI, which takes firmware.
MACHINES = {"x86_64": ("-machine", "q35"),
            "aarch64": ("-machine", "virt", "-cpu", "neoverse-n1",
                        "-bios", "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")}
# A kernel that spins before it has started init, its process 1. QEMU's emulation loses an interrupt
# between two CPUs now and then where the machine is busy; nothing of ours has run by then.
STUCK_BEFORE_INIT = re.compile(r"soft lockup .*\[swapper/\d+:\d+\]")
CONSOLES = {"x86_64": "ttyS0", "aarch64": "ttyAMA0"}


class GuestDied(AssertionError):
    """QEMU ended by itself: the kernel panicked, or QEMU refused to start."""


class Guest(Memory):
    """A booted guest, for a `with` statement.

    memory, maxmem, slots  QEMU's -m; `append` more words for the kernel's command line
    devices    more QEMU arguments, as a list
    overlays   Archives that are unpacked over the image
    daemon     False leaves memplugd out of the image altogether
    keep       do not end the guest at the end of the program (the demo's KEEP=1)
    """

    def __init__(self, memory="1G", maxmem="16G", slots=16, append="", devices=(), overlays=(),
                 daemon=True, cpus=2, keep=False, image=None):
        self.image = image or Image()
        self.folder = Path(tempfile.mkdtemp(prefix="memplug-guest."))
        self.process = None
        self.qmp = None
        self.shells = None
        self._keep = keep
        self._block_size = None
        self._channel = None
        self._last_words = None
        self._arguments = self._qemu(memory, maxmem, slots, append, devices, cpus)
        archives = [self.image.base] + ([self.image.memplugd] if daemon else [])
        with open(self.folder / "initramfs", "wb") as initramfs:
            for archive in archives:
                initramfs.write(archive.read_bytes())
            for overlay in overlays:
                initramfs.write(overlay.pack())

    def __enter__(self):
        self.start()
        try:
            try:
                self.wait_booted()
            except WaitedInVain:
                if not STUCK_BEFORE_INIT.search(self.console()):
                    raise
                print("the guest's kernel stood still before it started init; it is booted once more")
                self._end()
                self.start()
                self.wait_booted()
        except BaseException:
            problem = self.describe()
            self.stop()
            print(problem)
            raise
        return self

    def __exit__(self, *_):
        if not self._keep:
            self.stop()

    def start(self):
        """Starts QEMU and connects to it; the guest boots meanwhile."""
        command = self._arguments
        if not self._keep:
            # A harness that is killed must not leave its guest behind.
            command = ["setpriv", "--pdeathsig", "KILL"] + command
        with open(self.folder / "qemu.log", "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        # Once it answers a command, all its other sockets are there too.
        self.qmp = wait_until(self._try_qmp, "QEMU to start")
        self.shells = Shells([self.path("shell.%d" % n) for n in range(N_SHELLS)])

    def wait_booted(self):
        """Waits for the first answer of a shell."""
        try:
            self.shells.output("true", BOOT_S)
        except ConnectionError:
            self.process.wait()
            self._alive()  # says how it ended
            raise

    @contextmanager
    def slowed(self, share, period_s=0.2):
        """QEMU runs only this share of the time, as on a host that is overcommitted. The guest's
        clock goes on, unlike after QMP's `stop`."""
        is_over = threading.Event()

        def alternate():
            while not is_over.wait(share * period_s):
                self.process.send_signal(signal.SIGSTOP)
                is_over.wait((1 - share) * period_s)
                self.process.send_signal(signal.SIGCONT)

        thread = threading.Thread(target=alternate, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def close(self):
        """Lets go of the guest's sockets, so that somebody else may take them."""
        self.close_channel()
        if self.shells:
            self.shells.close()
        if self.qmp:
            self.qmp.close()

    def stop(self):
        """Ends the guest and removes what it left."""
        if self.process and not self._last_words:
            self._last_words = self._logs()
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self):
        self.close()
        if self.process:
            self.process.kill()
            self.process.wait()

    def path(self, name):
        """The host's socket of a port: "qmp", "shell.N" or "agent"."""
        return self.folder / (name + ".sock")

    def add_socket(self, name):
        """A character device of QEMU's for path(name), while the guest runs."""
        address = {"type": "unix", "data": {"path": str(self.path(name))}}
        self.qmp.command("chardev-add", id=name, backend={"type": "socket", "data": {
            "addr": address, "server": True, "wait": False}})

    def channel(self, timeout=PATIENCE_S):
        """A new connection to the agent's port, which takes one at a time: the last is closed."""
        self.close_channel()
        self._channel = Channel(self.path("agent"), timeout)
        return self._channel

    def close_channel(self):
        if self._channel:
            self._channel.close()

    def shell(self, command, timeout=PATIENCE_S):
        """Runs a command as root; returns (exit status, output)."""
        return self.shells.run(command, timeout)

    def shell_start(self, command):
        """Starts a command in the background; returns a Job."""
        return self.shells.start(command)

    def start_daemon(self):
        """Starts memplugd as the boot does, after a test has ended it."""
        self.shells.output("start-memplugd >/dev/null 2>&1 &")

    def console(self):
        """What the kernel and the daemon have printed so far."""
        log = self.folder / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def describe(self):
        """For a person who reads a failure: the ends of the logs and the last events. Of a guest
        that is stopped already, what its end left."""
        parts = self._last_words or self._logs()
        if self._alive_quietly() and self.shells:
            parts += [("memplugd", self._try("tail -n 60 /run/memplugd.log")),
                      ("kernel", self._try("dmesg | tail -n 30")),
                      ("blocks", self._try("cd /sys/devices/system/memory; "
                                           "grep . memory*/state | tr '\\n' ' '"))]
        return "\n".join("--- %s\n%s" % (name, "\n".join(text.splitlines()[-TAIL_LINES:]))
                         for name, text in parts if text.strip())

    def _logs(self):
        """What can be told without asking the guest."""
        parts = [("console", self.console()),
                 ("QEMU said", (self.folder / "qemu.log").read_text(errors="replace"))]
        if self.qmp:
            parts.append(("QMP events", "\n".join(str(event) for event in self.qmp.events)))
        if not self._alive_quietly():
            parts.append(("QEMU is gone", "status %s"
                          % (self.process and self.process.returncode)))
        return parts

    def _try_qmp(self):
        """A QMP connection, or None while QEMU does not listen yet."""
        self._alive()
        try:
            return Qmp(self.path("qmp"))
        except (FileNotFoundError, ConnectionRefusedError):
            return None

    def _try(self, command):
        try:
            return self.shells.run(command, 10)[1]
        except (AssertionError, OSError) as problem:
            return "(%s)" % problem

    def _alive_quietly(self):
        return self.process is not None and self.process.poll() is None

    def _alive(self):
        if not self._alive_quietly():
            raise GuestDied("QEMU ended (status %s)\n%s"
                            % (self.process and self.process.returncode, self.describe()))
        return True

    def _qemu(self, memory, maxmem, slots, append, devices, cpus):
        kvm = os.environ.get("ACCEL") == "kvm"
        words = "console=%s quiet panic=-1 oops=panic %s" % (CONSOLES[self.image.arch], append)
        arguments = [
            "qemu-system-" + self.image.arch, "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", *MACHINES[self.image.arch],
            "-accel", "kvm" if kvm else "tcg,thread=multi", "-smp", str(cpus),
            "-m", "%s,slots=%d,maxmem=%s" % (memory, slots, maxmem),
            "-kernel", str(self._kernel()), "-initrd", str(self.folder / "initramfs"),
            "-append", words,
            # To a file: a console that nobody reads would stop the guest.
            "-serial", "file:%s" % (self.folder / "console.log"),
            "-chardev", self._server("qmp"), "-mon", "chardev=qmp,mode=control",
            "-device", "virtio-serial-pci,id=ports",
        ]
        return (arguments + self._port("agent", AGENT_PORT) + self._shell_devices()
                + list(devices))

    def _kernel(self):
        return self.image.kernel

    def _shell_devices(self):
        return sum((self._port("shell.%d" % n, "shell.%d" % n) for n in range(N_SHELLS)), [])

    def _port(self, name, port):
        return ["-chardev", self._server(name),
                "-device", "virtserialport,bus=ports.0,chardev=%s,name=%s" % (name, port)]

    def _server(self, name):
        return "socket,id=%s,path=%s,server=on,wait=off" % (name, self.path(name))

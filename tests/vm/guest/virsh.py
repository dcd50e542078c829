"""libvirt's own client of a guest agent: virsh, with libvirt's QEMU driver inside it.

Nothing of this machine's libvirt is touched: the driver is embedded (qemu:///embed) below a
directory of its own, or a libvirtd of a session runs there, where other programs are to see the guest
too. As root the driver would want a user that only Debian's
system daemon brings, so it is run as nobody.
"""
import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from .waiting import PATIENCE_S, WaitedInVain, wait_until

NOBODY = 65534
NAME = "memplug"
PORT = "org.qemu.guest_agent.0"  # the only port that libvirt looks for an agent on
DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>512</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='{arch}' machine='q35'>hvm</type>
    <kernel>{folder}/vmlinuz</kernel>
    <initrd>{folder}/initrd</initrd>
    <cmdline>console=ttyS0 quiet panic=-1</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='{folder}/console.log'/></serial>
    <channel type='unix'><target type='virtio' name='{port}'/></channel>
  </devices>
</domain>
"""


class VirshFailed(AssertionError):
    """virsh printed an error; the message is what it said."""


class Virsh:
    """A guest that libvirt has started, for a `with` statement. `archives` is its initramfs,
    `domain` its XML. With `daemon` a libvirtd of its own has it, and program() can see it."""

    def __init__(self, image, archives, domain=DOMAIN, daemon=False):
        self.folder = Path(tempfile.mkdtemp(prefix="memplug-virsh."))
        self._process = None
        self._daemon = None
        self._has_daemon = daemon
        self._lines = []
        self._changed = threading.Condition()
        self._count = 0
        shutil.copy(image.kernel, self.folder / "vmlinuz")
        with open(self.folder / "initrd", "wb") as initrd:
            for archive in archives:
                initrd.write(archive)
        # Else a virtlogd would be started, and stay.
        (self.folder / "root/etc").mkdir(parents=True)
        (self.folder / "root/etc/qemu.conf").write_text('stdio_handler = "file"\n')
        (self.folder / "run").mkdir()
        (self.folder / ".config/libvirt").mkdir(parents=True)
        (self.folder / ".config/libvirt/qemu.conf").write_text('stdio_handler = "file"\n')
        (self.folder / "domain.xml").write_text(
            domain.format(name=NAME, arch=image.arch, folder=self.folder, port=PORT))

    def __enter__(self):
        try:
            self._start()
            self.run("create %s/domain.xml" % self.folder)
            wait_until(lambda: re.search("state=.connected", self.run("dumpxml " + NAME)),
                       "libvirt to see the agent's port opened", 300, 1)
        except BaseException as problem:
            self.stop()
            raise AssertionError("%s\n%s" % (problem, self.describe())) from problem
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, command):
        """What a virsh command printed; raises VirshFailed."""
        self._count += 1
        mark = "@@%d" % self._count
        with self._changed:
            begin = len(self._lines)
        self._process.stdin.write("%s\necho %s\n" % (command, mark))
        self._process.stdin.flush()
        with self._changed:
            if not self._changed.wait_for(lambda: mark in self._lines[begin:] or self._is_over(),
                                          PATIENCE_S) or self._is_over():
                raise WaitedInVain("virsh did not end %r: %s" % (command, self._lines[begin:]))
            said = self._lines[begin:self._lines.index(mark, begin)]
        problems = [line for line in said if line.startswith("error:")]
        if problems:
            raise VirshFailed("\n".join(problems))
        return "\n".join(said)

    def agent(self, request):
        """`qemu-agent-command` with libvirt's 5 s; the reply's line."""
        said = self.run("qemu-agent-command %s --timeout 5 '%s'" % (NAME, request))
        replies = re.findall(r"^\{.*\}$", said, re.M)
        if len(replies) != 1:
            raise VirshFailed("no reply in %r" % said)
        return replies[0]

    def describe(self):
        """For a person who reads a failure."""
        console = self.folder / "console.log"
        return "--- virsh\n%s\n--- console\n%s" % (
            "\n".join(self._lines[-40:]), console.read_text() if console.exists() else "none")

    def stop(self):
        """Ends the guest and virsh."""
        if self._process and self._process.poll() is None:
            try:
                self.run("destroy " + NAME)
            except AssertionError:
                pass  # it may never have been created
            self._process.stdin.close()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._daemon:
            self._daemon.terminate()
            self._daemon.wait()

    def program(self, path, *words, timeout=PATIENCE_S):
        """Runs a copy of a program as libvirt's user; returns (exit status, all output)."""
        copy = self.folder / Path(path).name
        shutil.copy(path, copy)
        copy.chmod(0o755)
        done = subprocess.run(self._prefix() + [str(copy), *words], env=self._environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False)
        return done.returncode, done.stdout

    def _is_over(self):
        return self._process.poll() is not None

    @staticmethod
    def _prefix():
        user = ["--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"]
        return ["setpriv"] + (user if os.getuid() == 0 else []) + ["--pdeathsig", "KILL"]

    def _environment(self):
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TERM": "dumb",
                "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder / "run")}

    def _start(self):
        if os.getuid() == 0:
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, NOBODY, NOBODY)
        uri = "qemu:///embed?root=%s/root" % self.folder
        if self._has_daemon:
            uri = "qemu:///session"
            self._daemon = subprocess.Popen(self._prefix() + ["/usr/sbin/libvirtd"],
                                            env=self._environment(), stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until((self.folder / "run/libvirt/libvirt-sock").exists, "libvirtd to listen")
        self._process = subprocess.Popen(self._prefix() + ["virsh", "-c", uri],
                                         env=self._environment(), stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

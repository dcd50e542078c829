"""A Debian guest with systemd as PID 1: the package is installed into it, as by an administrator.

    systemd.ext4      a small Debian (mmdebstrap), made once
    systemd.initramfs modules, and an init that goes on to the disk
"""
import os
import shutil
import subprocess
from pathlib import Path

from .image import ROOT, Image
from .initramfs import Archive
from .machine import N_SHELLS, Guest
from .packages import PackageError
from .programs import add_modules, add_program

SUITE = "bookworm"
PACKAGES = ("systemd", "systemd-sysv", "udev", "dbus", "polkitd", "libjson-glib-1.0-0",
            "qemu-guest-agent", "bash-completion", "procps")
MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "virtio_mem",
           "virtio_balloon")
DISK_MIB = 1024
USER = "ordinary"
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do insmod "$module"; done </etc/modules.order
mkdir /root.disk
mount -t ext4 /dev/vda /root.disk
umount /proc
mount --move /dev /root.disk/dev
exec switch_root /root.disk /sbin/init
"""
# Shells come up as soon as there is a port, and do not end with anything.
SHELL_UNIT = """[Unit]
DefaultDependencies=no
After=systemd-udevd.service
[Service]
ExecStart=/usr/bin/port-shell shell.%i
Restart=always
RestartSec=1
StartLimitIntervalSec=0
OOMScoreAdjust=-999
[Install]
WantedBy=sysinit.target
"""


class SystemdImage(Image):
    """The disk and initramfs of such a guest, beside those of the others."""

    def __init__(self, build=None):
        super().__init__(build)
        self.disk = self.build / "systemd.ext4"
        self.initramfs = self.build / "systemd.initramfs"
        self.package = ROOT / "build" / "deb"

    def make(self):
        """Everything, as far as it is not there."""
        self.make_base()
        with self._locked():
            if not self.disk.exists():
                self._make_disk()
            self._make_initramfs()
            subprocess.run(["make", "-s", "-C", str(ROOT), "deb"], check=True,
                           stdout=subprocess.DEVNULL, env=_clean_environment())

    def deb(self):
        """The package's file."""
        found, = (path for path in self.package.glob("memplug_*.deb"))
        return found

    def _make_disk(self):
        partial = self.disk.with_suffix(".partial")
        extra = self.build / "systemd.extra"
        shutil.rmtree(extra, ignore_errors=True)
        (extra / "etc/systemd/system").mkdir(parents=True)
        (extra / "usr/bin").mkdir(parents=True)
        (extra / "etc/systemd/system/port-shell@.service").write_text(SHELL_UNIT)
        (extra / "etc/fstab").write_text("/dev/vda / ext4 rw 0 0\n")
        (extra / "etc/hostname").write_text("guest\n")
        shell = extra / "usr/bin/port-shell"
        shutil.copyfile(Path(__file__).with_name("port-shell"), shell)
        shell.chmod(0o755)
        enable = " ".join("port-shell@%d.service" % n for n in range(N_SHELLS))
        tree = self.build / "systemd.tar"
        _run_quietly(
            "mmdebstrap", "--variant=minbase", "--include=" + ",".join(PACKAGES),
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--customize-hook=cp -r %s/. \"$1\"/" % extra,
            "--customize-hook=chroot \"$1\" systemctl enable " + enable,
            "--customize-hook=chroot \"$1\" useradd -m " + USER,
            "--customize-hook=rm -rf \"$1\"/var/cache/apt/*.bin \"$1\"/var/lib/apt/lists/*",
            SUITE, str(tree))
        # Whoever is not root unpacks it in a user namespace, so that files belong to whom they should.
        helper = [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]
        _run_quietly(*helper, "sh", "-euc",
                     "mkdir '{0}.root'; tar -C '{0}.root' -xf '{1}'; "
                     "mkfs.ext4 -q -F -d '{0}.root' '{0}' {2}M; rm -rf '{0}.root'"
                     .format(partial, tree, DISK_MIB))
        tree.unlink()
        partial.rename(self.disk)

    def _make_initramfs(self):
        archive = Archive()
        for name in ("bin", "sbin", "lib", "lib64"):
            archive.symlink(name, "usr/" + name)
        for name in ("dev", "proc", "etc", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
            archive.directory(name)
        busybox = shutil.which("busybox")
        add_program(archive, busybox, "usr/bin/busybox", self._unpacked)
        for applet in ("sh", "mount", "umount", "insmod", "mkdir", "switch_root"):
            archive.symlink("usr/bin/" + applet, "busybox")
        add_modules(archive, self._unpacked, MODULES)
        archive.file("init", INIT, 0o755)
        self.initramfs.write_bytes(archive.pack())


class SystemdGuest(Guest):
    """A booted Debian; the package is at /dev/vdb until install() puts it where it belongs."""

    def __init__(self, image, **arguments):
        deb = image.deb()
        self.deb_bytes = deb.stat().st_size
        devices = ["-drive", "file=%s,if=virtio,format=raw,snapshot=on" % image.disk,
                   "-drive", "file=%s,if=virtio,format=raw,readonly=on" % self._padded(image, deb)]
        super().__init__(image=image, daemon=False,
                         devices=devices,
                         append="systemd.show_status=no " + arguments.pop("append", ""),
                         **arguments)
        shutil.copyfile(image.initramfs, self.folder / "initramfs")

    def start(self):
        # A second monitor, for memplugctl: the first is the harness's own.
        self._arguments += ["-chardev", self._server("qmp2"), "-mon", "chardev=qmp2,mode=control"]
        super().start()

    def wait_booted(self):
        super().wait_booted()
        self.shells.output("mkdir -p /run/jobs; systemctl is-system-running --wait || true")

    def install(self):
        """dpkg -i, as an administrator would."""
        return self.shells.output("head -c %d /dev/vdb >/root/memplug.deb && "
                                  "DEBIAN_FRONTEND=noninteractive dpkg -i /root/memplug.deb"
                                  % self.deb_bytes)

    def start_daemon(self):
        self.shells.output("systemctl start memplugd")

    @staticmethod
    def _padded(image, deb):
        """QEMU wants whole sectors."""
        padded = image.build / "memplug.deb.disk"
        content = deb.read_bytes()
        padded.write_bytes(content + b"\0" * (-len(content) % 512))
        return padded

    def describe(self):
        text = super().describe()
        return text + "\n--- journal\n" + self._try(
            "journalctl -b -u memplugd --no-pager | tail -n 60")


def _run_quietly(*command):
    done = subprocess.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise PackageError("%s failed:\n%s" % (command[0], done.stdout[-2000:]))


def _clean_environment():
    return {name: value for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR", "prefix", "BUILD")}

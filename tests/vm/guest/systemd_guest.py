"""A Debian guest as people have it, for the package's tests.

Its root is made by mmdebstrap, its kernel and initrd are those that Debian's packages put into that
root, its modules are loaded by udev, and systemd is PID 1. Nothing of the harness is in the boot but
the shells, which come over a serial card that the kernel drives without a module.

    systemd.tar, .ext4   the Debian, and vmlinuz and initrd out of it; made again with another recipe
    package.ext4         the same with the package installed in it; made again with another package
"""
import hashlib
import os
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import NamedTuple

from .image import KERNEL_PACKAGES, ROOT, Image
from .machine import BOOT_S, N_SHELLS, Guest
from .packages import ANY_AGE, PackageError

HERE = Path(__file__).resolve().parent
SUITE = "bookworm"  # which this tree is built on; for others there are roots to build in


class System(NamedTuple):
    """Which Debian; its kernel is the architecture's own where no other is named."""
    suite: str
    title: str
    arch: str = "x86_64"
    kernel: str = ""


SYSTEMS = {
    "bullseye": System("bullseye", "Debian 11"),
    "bookworm": System("bookworm", "Debian 12"),
    "trixie": System("trixie", "Debian 13"),
    "sid": System("sid", "Debian sid"),
    "bookworm-arm64": System("bookworm", "Debian 12, arm64", "aarch64"),
    "trixie-arm64-16k": System("trixie", "Debian 13, arm64, pages of 16 KiB", "aarch64",
                               "linux-image-arm64-16k"),
}
DEBIAN_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
# Of a suite's security updates an archive may have the list alone.
OPTIONS = {"bullseye": (ANY_AGE, "--setup-hook=sed -i '/security/d' \"$1\"/etc/apt/sources.list")}
PACKAGES = ("systemd", "systemd-sysv", "udev", "kmod", "initramfs-tools", "dbus", "polkitd",
            "libjson-glib-1.0-0", "qemu-guest-agent", "bash-completion", "procps")
OTHER_NAMES = {"bullseye": {"polkitd": "policykit-1", "systemd-dev": "libsystemd-dev"}}
BUILD_PACKAGES = ("debhelper", "dpkg-dev", "lintian", "pkg-config", "python3", "systemd-dev")
BUILD_LIBRARIES = ("libglib2.0-dev", "libjson-glib-dev", "libsystemd-dev", "libudev-dev", "libvirt-dev")
# Name spaces of its own: nothing that a build leaves behind outlives it.
BUILD_IN_ROOT = """
rm -rf '{root}/package'; mkdir '{root}/package'
tar -C '{root}/package' --strip-components=1 -xf '{tarball}'
unshare --mount --pid --fork --kill-child sh -euc \
    'mount -t proc proc "{root}/proc"; exec chroot "{root}" make -s -C /package deb DEB_ARCH={arch}'
mkdir -p '{package}'; rm -rf '{package}'; cp -r '{root}/package/build/deb' '{package}'
"""
TOOLS = ("pin",)
DISK_MIB = 1536
USER = "ordinary"
READY = b"serial-shell is ready"
# A drop-in for the daemon's unit. SIGSTOP would not do: a stop by systemd wakes whoever has it.
ENDS_BY_SIGKILL = "[Service]\\nKillSignal=SIGWINCH\\nTimeoutStopSec=2\\n"
# Shells come up early, and do not end with anything.
SHELL_UNIT = """[Unit]
DefaultDependencies=no
[Service]
ExecStart=/usr/bin/serial-shell %i
Restart=always
RestartSec=1
StartLimitIntervalSec=0
OOMScoreAdjust=-999
[Install]
WantedBy=sysinit.target
"""
# How a root becomes a disk, without being root oneself where need be; a {command} may change it.
# Device nodes are left out: a name space cannot make them, and the kernel does.
TO_DISK = """
rm -rf '{disk}.root'; mkdir '{disk}.root'
tar -C '{disk}.root' --exclude='./dev/*' -xf '{tar}'
{command}
rm -f '{disk}.root'/dev/null
mkfs.ext4 -q -F -d '{disk}.root' '{disk}.partial' {size}M
rm -rf '{disk}.root'
mv '{disk}.partial' '{disk}'
"""
INSTALL = """
cp '{deb}' '{disk}.root/root/memplug.deb'
DEBIAN_FRONTEND=noninteractive chroot '{disk}.root' dpkg -i /root/memplug.deb
"""


class SystemdImage(Image):
    """The disks of such a guest, its kernel and its initrd."""

    def __init__(self, build=None, name=SUITE):
        self.system = SYSTEMS[name]
        super().__init__(build, self.system.arch)
        self.name = name
        self.folder = self.build / ("systemd" if name == SUITE else "systemd-" + name)
        self.debian_kernel = self.folder / "vmlinuz"
        self.initrd = self.folder / "initrd"
        self.disk = self.folder / "systemd.ext4"
        self.installed_disk = self.folder / "package.ext4"
        self.package = (ROOT / "build" if name == SUITE else self.folder) / "deb"
        self._tar = self.folder / "systemd.tar"

    def make(self):
        """The bare Debian and the package, as far as they are not there."""
        if self._is_native():
            self.make_base()  # the tools
        with self._locked():
            self.folder.mkdir(exist_ok=True)
            # Not where the tree lies: a copy of it keeps its disks.
            command = "".join(self._tar_command()).replace(str(self.folder), "")
            recipe = _digest(self._programs(), "".join((SHELL_UNIT, TO_DISK, str(DISK_MIB), command)))
            if _needs(self.disk, recipe):
                self._make_tar()
                self._to_disk(self.disk, "")
                _made(self.disk, recipe)
        self.make_package()

    def make_package(self):
        """The packages, as `make deb` leaves them."""
        self.build.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._make_package()

    def make_installed(self):
        """The Debian with the package installed in it."""
        self.make()
        with self._locked():
            key = _digest([self.deb()], _key_of(self.disk))
            if _needs(self.installed_disk, key):
                self._to_disk(self.installed_disk,
                              INSTALL.format(deb=self.deb(), disk=self.installed_disk))
                _made(self.installed_disk, key)

    def deb(self):
        """The package's file."""
        found, = (path for path in self.package.glob("memplug_*.deb"))
        return found

    @staticmethod
    def tree_key():
        """A key for what the package is made of."""
        listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard",
                                 "--", ".", ":!tests"], text=True, stdout=subprocess.PIPE,
                                check=True)
        sources = [ROOT / name for name in listed.stdout.splitlines()]
        return _digest([path for path in sources if path.is_file()])

    def _make_package(self):
        key = self.tree_key()
        found = list(self.package.glob("memplug_*.deb"))
        if len(found) == 1 and not _needs(found[0], key):
            return
        if self.name == SUITE:
            subprocess.run(["make", "-s", "-C", str(ROOT), "deb"], check=True,
                           stdout=subprocess.DEVNULL, env=self.clean_environment())
        else:
            self._make_package_in_root()
        _made(self.deb(), key)

    def _make_package_in_root(self):
        suite, arch = self.system.suite, DEBIAN_ARCH[self.arch]
        root = self.build / "roots" / (suite if self._is_native() else "%s-%s" % (suite, arch))
        if not root.is_dir():
            partial = root.with_name(root.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            root.parent.mkdir(exist_ok=True)
            _run_quietly("mmdebstrap", "--format=directory", "--variant=buildd", *OPTIONS.get(suite, (ANY_AGE,)),
                         *self._build_packages(arch), suite, str(partial))
            partial.rename(root)
        self.folder.mkdir(exist_ok=True)
        tarball = subprocess.run([str(ROOT / "packaging/make-dist"), str(self.folder), "--uncommitted"],
                                 text=True, stdout=subprocess.PIPE, check=True).stdout.strip()
        _run_quietly("sh", "-euc", BUILD_IN_ROOT.format(root=root, tarball=tarball, arch=arch,
                                                       package=self.package))

    def _build_packages(self, arch):
        """mmdebstrap's options for what the package is built with: for another machine, on this one."""
        if self._is_native():
            return ["--include=" + self._names(BUILD_PACKAGES + BUILD_LIBRARIES)]
        libraries = tuple("%s:%s" % (name, arch) for name in BUILD_LIBRARIES)
        return ["--architectures=%s,%s" % (DEBIAN_ARCH[platform.machine()], arch), "--include="
                + self._names(BUILD_PACKAGES + libraries + ("crossbuild-essential-" + arch,))]

    def _is_native(self):
        return self.arch == platform.machine()

    def _names(self, packages):
        """Of these packages in that suite, for an option."""
        others = OTHER_NAMES.get(self.system.suite, {})
        return ",".join(others.get(name, name) for name in packages)

    def _programs(self):
        """The harness's own in the guest."""
        tools = TOOLS if self._is_native() else ()
        return [HERE / "serial-shell", *(self.build / "tools" / name for name in tools)]

    @staticmethod
    def clean_environment():
        """What a make above has set is not for a make of its own."""
        return {name: value for name, value in os.environ.items()
                if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR", "prefix", "BUILD")}

    def _make_tar(self):
        extra = self.folder / "extra"
        shutil.rmtree(extra, ignore_errors=True)
        (extra / "etc/systemd/system").mkdir(parents=True)
        (extra / "usr/bin").mkdir(parents=True)
        (extra / "etc/systemd/system/serial-shell@.service").write_text(SHELL_UNIT)
        (extra / "etc/fstab").write_text("/dev/vda / ext4 rw 0 0\n")
        (extra / "etc/hostname").write_text("guest\n")
        for program in self._programs():
            shutil.copyfile(program, extra / "usr/bin" / program.name)
            (extra / "usr/bin" / program.name).chmod(0o755)
        _run_quietly(*self._tar_command())
        with tarfile.open(self._tar) as tar:
            for member in tar:
                for name, target in (("boot/vmlinu", self.debian_kernel), ("boot/initrd", self.initrd)):
                    if member.isfile() and member.name.lstrip("./").startswith(name):
                        target.write_bytes(tar.extractfile(member).read())

    def _tar_command(self):
        enable = " ".join("serial-shell@%d.service" % n for n in range(1, N_SHELLS + 1))
        kernel = self.system.kernel or KERNEL_PACKAGES[self.arch]
        return [
            "mmdebstrap", "--variant=minbase", *OPTIONS.get(self.system.suite, (ANY_AGE,)),
            "--architectures=" + DEBIAN_ARCH[self.arch],
            "--include=" + self._names(PACKAGES + (kernel,)),
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--customize-hook=cp -r %s/extra/. \"$1\"/" % self.folder,
            "--customize-hook=chroot \"$1\" systemctl enable " + enable,
            "--customize-hook=chroot \"$1\" useradd -m " + USER,
            "--customize-hook=rm -rf \"$1\"/var/cache/apt/*.bin \"$1\"/var/lib/apt/lists/*",
            self.system.suite, str(self._tar)]

    def _to_disk(self, disk, command):
        # Whoever is not root unpacks it in a user namespace, so that files belong to whom they should.
        helper = [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]
        _run_quietly(*helper, "sh", "-euc", TO_DISK.format(disk=disk, tar=self._tar,
                                                          command=command, size=DISK_MIB))


class SystemdGuest(Guest):
    """A booted Debian.

    installed  the package is in its disk; else it is at /dev/vdb until install() installs it
    disk       a disk of one's own, which keeps what is written; else it is forgotten
    """

    def __init__(self, image, installed=False, disk=None, devices=(), append="", **arguments):
        deb = image.deb()
        self.deb_bytes = deb.stat().st_size
        source = image.installed_disk if installed else image.disk
        drives = ["-drive", "file=%s,if=virtio,format=raw,snapshot=%s"
                  % (disk or source, "off" if disk else "on"),
                  "-drive", "file=%s,if=virtio,format=raw,readonly=on" % self._padded(image, deb)]
        super().__init__(image=image, daemon=False, devices=drives + list(devices),
                         append="root=/dev/vda rw systemd.show_status=no " + append, **arguments)
        shutil.copyfile(image.initrd, self.folder / "initramfs")
        # A second monitor, for memplugctl: the first is the harness's own.
        self._arguments += ["-chardev", self._server("qmp2"), "-mon", "chardev=qmp2,mode=control"]

    def wait_booted(self):
        # What is sent to a serial port that nobody has opened is lost.
        self.shells.wait_greeting(READY, BOOT_S)
        super().wait_booted()
        self.shells.output("mkdir -p /run/jobs; systemctl is-system-running --wait || true", BOOT_S)

    def install(self):
        """dpkg -i, as an administrator would."""
        return self.shells.output("head -c %d /dev/vdb >/root/memplug.deb && "
                                  "DEBIAN_FRONTEND=noninteractive dpkg -i /root/memplug.deb"
                                  % self.deb_bytes, BOOT_S)

    def start_daemon(self):
        self.shells.output("systemctl start memplugd")

    def was_killed(self):
        """Whether a stop of the daemon has ended in SIGKILL since the boot."""
        return "with signal SIGKILL" in self.shells.output("journalctl -b --no-pager -u memplugd")

    def reboot(self):
        """As a person does it; QEMU has to have been told that it may."""
        self.close_channel()
        self.shells.run("systemctl --no-block reboot")
        self.wait_booted()

    def power_off(self):
        """As a person does it, so that the disk is whole."""
        self.shells.run("systemctl --no-block poweroff")
        self.process.wait(BOOT_S)

    def _kernel(self):
        return self.image.debian_kernel

    def _shell_devices(self):
        ports = ["chardev%d=shell.%d" % (n + 1, n) for n in range(N_SHELLS)]
        chardevs = sum((["-chardev", self._server("shell.%d" % n)] for n in range(N_SHELLS)), [])
        return chardevs + ["-chardev", "null,id=nobody", "-device",
                           "pci-serial-4x,%s,chardev4=nobody" % ",".join(ports)]

    @staticmethod
    def _padded(image, deb):
        """QEMU wants whole sectors."""
        padded = image.folder / "memplug.deb.disk"
        content = deb.read_bytes()
        padded.write_bytes(content + b"\0" * (-len(content) % 512))
        return padded

    def describe(self):
        text = super().describe()
        return text + "\n--- journal\n" + self._try(
            "journalctl -b -u memplugd --no-pager | tail -n 60")


def _digest(paths, start=""):
    """A key for the content of some files."""
    total = hashlib.sha256(start.encode())
    for path in paths:
        total.update(str(path.name).encode() + path.read_bytes())
    return total.hexdigest()


def _key_of(target):
    key = target.with_suffix(target.suffix + ".key")
    return key.read_text() if target.exists() and key.exists() else ""


def _needs(target, key):
    return _key_of(target) != key


def _made(target, key):
    target.with_suffix(target.suffix + ".key").write_text(key)


def _run_quietly(*command):
    done = subprocess.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise PackageError("%s failed:\n%s" % (command[0], done.stdout[-2000:]))

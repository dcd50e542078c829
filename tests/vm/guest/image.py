"""Makes what a test guest boots: a kernel, a base initramfs, and memplugd's overlay.

Everything lands in build/guest/ and is made again only when something that it
is made of is newer. Nothing is installed and nothing needs root.

    vmlinuz       Debian's cloud kernel, unpacked from its package
    base.cpio     busybox, systemd-udevd, modules, the tools of tests/tools
    memplugd.cpio what `make install DESTDIR=` puts down, with its libraries
"""
import fcntl
import os
import platform
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from . import packages
from .initramfs import Archive
from .programs import add_modules, add_program

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TOOLS = ROOT / "tests" / "tools"

# What differs between architectures: the package that names the kernel.
KERNEL_PACKAGES = {"x86_64": "linux-image-cloud-amd64", "aarch64": "linux-image-cloud-arm64"}
MODULES = ("virtio_pci", "virtio_console", "virtio_blk", "virtio_mem", "virtio_balloon", "zram",
           "lzo-rle", "memory-notifier-error-inject")
PASSWD = "root:x:0:0:root:/root:/bin/sh\n"
INITTAB = "".join("::respawn:/usr/bin/port-shell shell.%d\n" % n for n in range(3))


class Image:
    """The files of one guest image, below `build` (default: build/guest of the checkout)."""

    def __init__(self, build=None, arch=None):
        self.arch = arch or platform.machine()
        self.build = Path(build or ROOT / "build" / "guest")
        self.kernel = self.build / "vmlinuz"
        self.base = self.build / "base.cpio"
        self.memplugd = self.build / "memplugd.cpio"
        self._unpacked = self.build / "unpacked"
        self._destdir = self.build / "destdir"

    def make_base(self):
        """Kernel and base archive. Returns True where something had to be made."""
        with self._locked():
            if _is_newer(self.base, _own_sources()):
                return False
            self._fetch()
            kernel, = self._unpacked.glob("boot/vmlinu*")
            shutil.copyfile(kernel, self.kernel)
            _write(self.base, self._base_archive())
            return True

    def make_memplugd(self):
        """Installs memplugd into a tree of its own and packs that with its libraries."""
        with self._locked():
            shutil.rmtree(self._destdir, ignore_errors=True)
            # A make above this one must not hand its flags and job server down, nor its variant:
            # the guest has no room for a sanitizer's memory.
            environment = {name: value for name, value in os.environ.items()
                           if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR", "prefix",
                                           "BUILD", "SANITIZE", "COVERAGE")}
            if "MEMPLUG_TREE" in os.environ:
                self._take_tree(Path(os.environ["MEMPLUG_TREE"]))
            else:
                subprocess.run(["make", "-s", "-C", str(ROOT), "install",
                                "DESTDIR=%s" % self._destdir], env=environment, check=True,
                               stdout=subprocess.DEVNULL)
            archive = Archive()
            archive.tree(self._destdir)
            for program in sorted(self._destdir.glob("usr/local/*bin/*")):
                add_program(archive, program, program.relative_to(self._destdir), self._unpacked)
            _write(self.memplugd, archive)

    def _take_tree(self, tree):
        """An installed package's files, in place of what `make install` puts down."""
        shutil.copytree(tree, self._destdir)
        if (self._destdir / "lib").is_dir():  # the guest's is a link
            shutil.copytree(self._destdir / "lib", self._destdir / "usr/lib", dirs_exist_ok=True)
            shutil.rmtree(self._destdir / "lib")
        for name in ("sbin/memplugd", "bin/memplugctl"):
            (self._destdir / "usr/local" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self._destdir / "usr" / name, self._destdir / "usr/local" / name)

    @contextmanager
    def _locked(self):
        """Test files run side by side; one builds, the others wait and find it made."""
        self.build.mkdir(parents=True, exist_ok=True)
        with open(self.build / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _fetch(self):
        if self._unpacked.is_dir():
            return
        downloads, partial = self.build / "packages", self.build / "unpacked.partial"
        for leftover in (downloads, partial):
            shutil.rmtree(leftover, ignore_errors=True)
        kernel = packages.dependencies(KERNEL_PACKAGES[self.arch], r"linux-image-\d.*")
        libraries = packages.dependencies("udev", r"lib.*")
        packages.unpack(kernel + ["udev"] + libraries, downloads, partial)
        partial.rename(self._unpacked)

    def _base_archive(self):
        archive = Archive()
        for name in ("bin", "sbin", "lib", "lib64"):
            archive.symlink(name, "usr/" + name)
        for name in ("dev", "proc", "sys", "run", "tmp", "root", "etc",
                     "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
            archive.directory(name)
        self._add_busybox(archive)
        self._add_udev(archive)
        add_modules(archive, self._unpacked, MODULES)
        for source in sorted(TOOLS.glob("*.c")):
            archive.copy(self._compiled(source), "usr/bin/" + source.stem)
        archive.copy(HERE / "init", "init")
        for script in ("port-shell", "start-memplugd"):
            archive.copy(HERE / script, "usr/bin/" + script)
        archive.file("etc/inittab", INITTAB)
        archive.file("etc/passwd", PASSWD)
        return archive

    def _add_busybox(self, archive):
        busybox = shutil.which("busybox")
        if not busybox:
            raise packages.PackageError("busybox is missing: apt-get install busybox-static")
        add_program(archive, busybox, "usr/bin/busybox", self._unpacked)
        applets = subprocess.run([busybox, "--list"], text=True, stdout=subprocess.PIPE, check=True)
        for applet in applets.stdout.split():
            if applet != "busybox":
                archive.symlink("usr/bin/" + applet, "busybox")
        archive.symlink("usr/sbin/init", "../bin/busybox")

    def _add_udev(self, archive):
        """The real udevd with its rules; its probing programs have nothing to probe here."""
        udevadm, = self._unpacked.glob("**/bin/udevadm")
        add_program(archive, udevadm, "usr/bin/udevadm", self._unpacked)
        archive.symlink("usr/lib/systemd/systemd-udevd", "../../bin/udevadm")
        for rules in sorted(self._unpacked.glob("**/udev/rules.d/*.rules")):
            archive.copy(rules, "usr/lib/udev/rules.d/" + rules.name)

    def _compiled(self, source):
        program = self.build / "tools" / source.stem
        program.parent.mkdir(exist_ok=True)
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-Wall", "-Wextra",
                        "-static", "-o", str(program), str(source)], check=True)
        return program


def _own_sources():
    own = [path for path in HERE.iterdir() if path.is_file()]
    return own + list(TOOLS.glob("*.c"))


def _is_newer(target, sources):
    return target.exists() and all(source.stat().st_mtime <= target.stat().st_mtime
                                   for source in sources)


def _write(path, archive):
    partial = path.with_suffix(".partial")
    partial.write_bytes(archive.pack())
    partial.rename(path)

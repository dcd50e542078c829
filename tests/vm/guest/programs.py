"""Puts programs and kernel modules into an archive together with what they need."""
import re
import shutil
import subprocess
from pathlib import Path


class MissingLibrary(RuntimeError):
    """Neither this machine nor the unpacked packages have a needed library."""


def add_program(archive, source, path, unpacked):
    """A program and the closure of its libraries.

    A library comes from this machine where it has it (memplugd was linked
    against those), else from the directory of `unpacked` packages.
    """
    archive.copy(source, path)
    for library in libraries(Path(source), unpacked):
        archive.copy(library, _guest_path(library, unpacked))


def libraries(program, unpacked):
    """Every library and the loader that `program` needs, as paths that exist here."""
    found, unread = {}, [program]
    while unread:
        for name, path in _direct(unread.pop(), unpacked):
            if name not in found:
                found[name] = path
                if path.is_relative_to(unpacked):
                    unread.append(path)  # ldd could not look behind this one
    return [found[name] for name in sorted(found)]


def _direct(binary, unpacked):
    listed = subprocess.run(["ldd", str(binary)], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, check=False).stdout
    for line in listed.splitlines():
        match = re.match(r"\s+(\S+)(?: => (not found|\S+))?", line)
        if not match or match[1].startswith(("linux-vdso", "statically")):
            continue
        path = match[2] or match[1]
        yield match[1], _unpacked_library(match[1], unpacked) if path == "not found" else Path(path)


def _unpacked_library(name, unpacked):
    for path in unpacked.rglob(name):
        return path
    raise MissingLibrary("the library %s is needed and is nowhere to be found" % name)


def _guest_path(library, unpacked):
    return library.relative_to(unpacked) if library.is_relative_to(unpacked) else library


def add_modules(archive, unpacked, names, order="etc/modules.order"):
    """Kernel modules, and a file with the order to load them in.

    The order follows each module's own "depends", as no depmod has run.
    """
    files = {_module_name(path.name): path for path in unpacked.glob("**/kernel/**/*.ko*")}
    ordered = []

    def visit(name):
        content = _module_content(files[name])
        for needed in re.search(rb"\0depends=([^\0]*)\0", content)[1].decode().split(","):
            if needed and _module_name(needed) not in ordered:
                visit(_module_name(needed))
        archive.file("usr/lib/modules/%s.ko" % name, content)
        ordered.append(name)

    for name in names:
        visit(_module_name(name))
    archive.file(order,
                 "".join("/usr/lib/modules/%s.ko\n" % name for name in ordered))


def _module_name(text):
    return text.split(".ko")[0].replace("-", "_")


def _module_content(path):
    if path.suffix == ".ko":
        return path.read_bytes()
    tool = {".xz": "xz", ".zst": "zstd", ".gz": "gzip"}[path.suffix]
    if not shutil.which(tool):
        raise MissingLibrary("%s is needed to read %s" % (tool, path.name))
    return subprocess.run([tool, "-dc", str(path)], stdout=subprocess.PIPE, check=True).stdout

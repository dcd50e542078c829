"""Writes initramfs archives (cpio "newc") without cpio, mknod or root.

The kernel unpacks any number of archives laid end to end, the later ones over
the earlier, so a guest's root is a base archive plus overlays. Every file
belongs to root whoever builds it.

The guest's root has the merged /usr of today's distributions: /bin, /lib, …
are links. An overlay that carried a *directory* "lib" would make the kernel
replace the link, so every path is moved below usr/ here.
"""
import os
import stat
from pathlib import Path

MERGED = ("bin", "sbin", "lib", "lib32", "lib64")


def canonical(path):
    """The path inside the archive: relative, and below usr/ where /usr is merged."""
    parts = [part for part in str(path).split("/") if part not in ("", ".")]
    if parts and parts[0] in MERGED:
        parts.insert(0, "usr")
    return "/".join(parts)


class Archive:
    """A tree in memory: path -> (mode, content)."""

    def __init__(self):
        self._entries = {}

    def directory(self, path, mode=0o755):
        path = canonical(path)
        if not path or path in self._entries:
            return
        self._parents(path)
        self._entries[path] = (stat.S_IFDIR | mode, b"")

    def file(self, path, content, mode=0o644):
        path = canonical(path)
        self._parents(path)
        if isinstance(content, str):
            content = content.encode()
        self._entries[path] = (stat.S_IFREG | mode, content)

    def symlink(self, path, target):
        # A link at the top ("lib") is itself the merge, so it is not moved.
        path = str(path).strip("/")
        path = canonical(path) if "/" in path else path
        self._parents(path)
        self._entries[path] = (stat.S_IFLNK | 0o777, str(target).encode())

    def copy(self, source, path=None):
        """A file of the host, its mode kept, links followed."""
        source = Path(source)
        self.file(path or source, source.read_bytes(), stat.S_IMODE(source.stat().st_mode))

    def tree(self, top, at=""):
        """Everything below the directory `top`, put at `at`."""
        top = Path(top)
        for folder, folders, files in os.walk(top):
            inside = Path(at) / Path(folder).relative_to(top)
            for name in sorted(folders + files):
                source = Path(folder) / name
                if source.is_symlink():
                    self.symlink(inside / name, os.readlink(source))
                elif source.is_dir():
                    self.directory(inside / name)
                elif source.is_file():
                    self.copy(source, inside / name)

    def pack(self):
        """The archive as bytes, padded so that another may follow."""
        chunks = []
        for inode, (path, (mode, content)) in enumerate(self._entries.items(), start=1):
            chunks.append(_record(path, mode, content, inode))
        chunks.append(_record("TRAILER!!!", 0, b"", 0))
        return b"".join(chunks)

    def _parents(self, path):
        parent = os.path.dirname(path)
        if parent and parent not in self._entries:
            self._parents(parent)
            self._entries[parent] = (stat.S_IFDIR | 0o755, b"")


def _record(path, mode, content, inode):
    name = path.encode() + b"\0"
    # inode mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(content)


def _padded(data):
    return data + b"\0" * (-len(data) % 4)

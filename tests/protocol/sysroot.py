"""Trees for --sysroot: made up ones of any size, and captured ones; and a memplugd that looks at one.

A captured tree is text, as tests/capture-sysroot writes it: "dir PATH", "link PATH<tab>TARGET", or
"file PATH" with the file's lines behind it, a tab in front of each.
"""
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "vm"))

from guest.waiting import wait_until

MEMPLUGD = ROOT / os.environ.get("MEMPLUG_BUILD", "build") / "memplugd"
MEMORY = "sys/devices/system/memory"
BLOCK_SIZE = 128 << 20


def add_block(memory, index, state="online", zones="Movable", node=0):
    """One block's directory below `memory`, as the kernel lays it out."""
    block = memory / ("memory%d" % index)
    block.mkdir()
    for name, value in (("state", state), ("phys_index", "%08x" % index), ("removable", "1"),
                        ("online", "1" if state == "online" else "0"), ("valid_zones", zones)):
        (block / name).write_text(value + "\n")
    (block / ("node%d" % node)).symlink_to("../../node/node%d" % node)
    return block


def make_tree(root, count):
    """A tree of `count` blocks: a quarter Normal, the others Movable; all online."""
    memory = Path(root) / MEMORY
    memory.mkdir(parents=True)
    (memory / "block_size_bytes").write_text("%x\n" % BLOCK_SIZE)
    (memory / "auto_online_blocks").write_text("offline\n")
    for index in range(count):
        add_block(memory, index, zones="Normal" if index < count // 4 else "Movable")
    return memory


def unpack(text, root):
    """Makes the tree that capture-sysroot wrote."""
    content, target = [], None

    def finish():
        if target:
            target.write_text("".join(line + "\n" for line in content))
            content.clear()

    for line in text.splitlines():
        if line.startswith("\t"):
            content.append(line[1:])
            continue
        finish()
        kind, _, rest = line.partition(" ")
        path, _, link = rest.partition("\t")
        target = Path(root) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind == "dir":
            target.mkdir(exist_ok=True)
        elif kind == "link":
            target.symlink_to(link)
        else:
            assert kind == "file", "not a captured tree: %r" % line
        if kind != "file":
            target = None
    finish()


def _listens(path):
    """A socket is there before anybody listens on it."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


@contextmanager
def memplugd(folder, *options):
    """Runs memplugd on a socket in `folder`, which must be its own. Yields (socket, process)."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    sock, log = folder / "memplugd.sock", folder / "memplugd.log"
    (folder / "memplugd.conf").write_text("")
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(MEMPLUGD), "-m", "unix-listen", "-p", str(sock), "-t", str(folder / "state"),
             "-c", str(folder / "memplugd.conf"), *options],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_until(lambda: _listens(sock) or process.poll() is not None, "memplugd to listen")
        assert process.poll() is None, log.read_text()
        yield sock, process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

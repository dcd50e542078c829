"""Trap 1: the kernel oopses where valid_zones is read before the block has its node.

A trace of the daemon's system calls shows that it lists each block's directory, and finds the link
to the node in it, before it opens valid_zones. (The guests' kernels panic on an oops, too.)
"""
import os
import re
import shutil

import pytest

from guest import GIB, MIB, Archive, Guest
from guest.image import HERE
from guest.programs import add_program
from guest.waiting import wait_until

BOOTS = 10 if os.environ.get("SOAK") == "1" else 2
# At boot the daemon starts while the driver is still adding.
VIRTIO_MEM = ["-object", "memory-backend-ram,id=vmem-ram,size=4G,reserve=off",
              "-device", "virtio-mem-pci,id=vmem,memdev=vmem-ram,requested-size=1G"]
TRACE = "strace -f -y -v -s 64 -e trace=openat,getdents64 -o /run/memplugd.trace "
# What matters of the trace: far less than all of it has to cross the emulated port.
FILTER = r"grep -E 'memory[0-9]+(/valid_zones|>, \[)' /run/memplugd.trace || true"
LISTED = re.compile(r'getdents64\(\d+<[^>]*/memory(\d+)>, \[(.*)\]?')
OPENED = re.compile(r'openat\([^"]*"[^"]*/memory(\d+)/valid_zones"')


@pytest.fixture
def traced(memplugd_image):
    """Overlays that run the daemon under strace from the start."""
    overlay = Archive()
    add_program(overlay, shutil.which("strace"), "usr/bin/strace", memplugd_image.build / "unpacked")
    script = (HERE / "start-memplugd").read_text()
    assert "exec memplugd" in script
    overlay.file("usr/bin/start-memplugd", script.replace("exec memplugd",
                                                          "exec " + TRACE + "memplugd"), 0o755)
    return memplugd_image, [overlay]


def check_trace(guest):
    """Returns the blocks whose zones were read; fails where one was read too early."""
    linked, read = set(), set()
    for line in guest.shells.output(FILTER).splitlines():
        listed, opened = LISTED.search(line), OPENED.search(line)
        if listed and "d_name" in listed[2]:
            index = int(listed[1])
            (linked.add if re.search(r'd_name="node\d+"', listed[2]) else linked.discard)(index)
        elif opened:
            index = int(opened[1])
            assert index in linked, "zones of block %d opened without its node: %s" % (index, line)
            read.add(index)
    assert read, "the trace has no block at all"
    return read


def all_online(guest, count):
    """The hot-added blocks, once there are `count` and all are online as movable."""
    def look():
        added = {index: block for index, block in guest.blocks().items() if index >= 8}
        good = all((block.state, block.zone) == ("online", "Movable") for block in added.values())
        return added if len(added) == count and good else None

    return wait_until(look, "%d blocks online as movable" % count)


@pytest.mark.parametrize("boot", range(BOOTS))
def test_virtio_mem_boot(traced, boot):
    image, overlays = traced
    with Guest(image=image, overlays=overlays, devices=VIRTIO_MEM, maxmem="32G") as guest:
        blocks = all_online(guest, GIB // guest.block_size())
        wait_until(lambda: check_trace(guest) >= set(blocks), "the daemon to read all zones")
        if boot == 0:
            for number in range(4):
                guest.add_dimm("dimm%d" % number, 512 * MIB)
            blocks = all_online(guest, 3 * GIB // guest.block_size())
            wait_until(lambda: check_trace(guest) >= set(blocks), "the daemon to read all zones")

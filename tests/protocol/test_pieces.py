"""virtio-mem to its piece of 2 MiB: what /proc/kpageflags says of the pieces, and nothing else does."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from daemon import wait_until
from example_tree import make_example_tree
from sysroot import memplugd

from guest import GIB, MIB, Channel

FIRST = 38  # the first of virtio0's two blocks
PIECE_PAGES, BLOCK_PAGES = 512, 32768
OFFLINE = (1 << 23).to_bytes(8, "little")


class Pieces:
    """A guest's tree, and its pages: `offline` and `online` for whole pieces, or single pages."""

    def __init__(self, root, channel):
        self.root, self.channel = root, channel

    def mark(self, block, piece, pages=range(PIECE_PAGES), flags=OFFLINE):
        with open(self.root / "proc/kpageflags", "r+b") as file:
            for page in pages:
                file.seek(8 * (block * BLOCK_PAGES + piece * PIECE_PAGES + page))
                file.write(flags)

    def set_total(self, mib):
        """MemTotal: the driver corrects it by each piece."""
        (self.root / "proc/meminfo").write_text(
            "MemTotal: %d kB\nMemFree: 1048576 kB\nMemAvailable: 1048576 kB\n" % (mib * 1024))

    def status(self):
        return self.channel.call("memory-get-status")

    def device(self):
        return next(device for device in self.channel.call("memory-get-devices")
                    if device["id"] == "virtio0")


@pytest.fixture
def pieces(tmp_path):
    root = make_example_tree(tmp_path / "tree")
    with open(root / "proc/kpageflags", "wb") as file:
        os.truncate(file.fileno(), 8 * (FIRST + 2) * BLOCK_PAGES)
    with memplugd(tmp_path / "run", "--sysroot=%s" % root) as (sock, _), Channel(sock) as channel:
        yield Pieces(root, channel)


def test_what_is_not_plugged_is_not_the_guests(pieces):
    assert pieces.status()["guest-current"] == 2 * GIB
    for piece in (0, 1, 63):
        pieces.mark(FIRST + 1, piece)
    wait_until(lambda: pieces.device()["plugged"] == 250 * MIB, "a look at all pieces")
    assert pieces.status()["guest-current"] == 2 * GIB - 6 * MIB
    assert pieces.device()["online-movable"] == 256 * MIB  # the blocks


def test_a_balloons_pages_are_plugged(pieces):
    """They are offline to kpageflags too; but a piece is rarely all of them."""
    for piece in range(64):
        pieces.mark(FIRST, piece, pages=range(0, 256))
        pieces.mark(FIRST, piece, pages=range(257, 512))
    pieces.mark(FIRST + 1, 5)
    wait_until(lambda: pieces.device()["plugged"] == 254 * MIB, "the one piece that is not")


def test_an_offline_block_counts_as_a_whole(pieces):
    pieces.mark(FIRST + 1, 5)
    (pieces.root / ("sys/devices/system/memory/memory%d/state" % (FIRST + 1))).write_text("offline\n")
    assert pieces.device()["plugged"] == 256 * MIB
    assert pieces.status()["guest-current"] == 2 * GIB - 128 * MIB


def test_a_target_is_reached_to_the_piece(pieces):
    """Between two blocks nothing announces a piece: it is looked for while a target stands."""
    for piece in range(32):
        pieces.mark(FIRST + 1, piece)
    pieces.channel.call("memory-set-events", enabled=True)
    wait_until(lambda: pieces.status()["guest-current"] == 2 * GIB - 64 * MIB, "a look")
    pieces.channel.call("memory-set-target", bytes=2 * GIB - 60 * MIB)
    pieces.set_total(1000)
    pieces.status()
    assert pieces.channel.events == []
    pieces.mark(FIRST + 1, 0, flags=bytes(8))
    pieces.mark(FIRST + 1, 1, flags=bytes(8))
    pieces.set_total(1004)
    pieces.channel.receive_event()
    assert [event["event"] for event in pieces.channel.events] == ["MEMORY_TARGET_REACHED"]
    assert pieces.status()["guest-current"] == 2 * GIB - 60 * MIB

"""Trees that no healthy kernel shows: what is odd is told as it is, and hides nothing else."""
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from sysroot import add_block, make_tree, memplugd

from guest import GIB, Channel
from guest.truth import check_listed, expand


@pytest.fixture
def odd(tmp_path):
    """Blocks 0 to 3, and a channel to a memplugd that looks at them anew for each question."""
    memory = make_tree(tmp_path / "tree", 4)
    with memplugd(tmp_path / "run", "--sysroot=%s" % (tmp_path / "tree")) as (sock, _), \
            Channel(sock) as channel:
        yield memory, channel


def answers(channel):
    listed = check_listed(channel.call("guest-get-memory-blocks"))
    told = expand(channel.call("memory-get-map"))
    assert set(listed) == set(told)
    return listed, told


def test_a_block_that_cannot_be_read_hides_no_other(odd):
    memory, channel = odd
    (memory / "memory2/state").unlink()
    (memory / "memory2/state").mkdir()
    listed, told = answers(channel)
    assert listed == {0: True, 1: True, 2: False, 3: True}
    assert told[2].state == "unknown"


def test_a_state_of_another_kernel_is_unknown(odd):
    memory, channel = odd
    (memory / "memory1/state").write_text("half-online\n")
    (memory / "memory2/state").write_text("going-offline\n")
    listed, told = answers(channel)
    assert [told[index].state for index in range(4)] == ["online", "unknown", "going-offline",
                                                         "online"]
    assert listed == {0: True, 1: False, 2: False, 3: True}


def test_several_zones_cannot_go_offline(odd):
    memory, channel = odd
    (memory / "memory3/valid_zones").write_text("none\n")
    _, told = answers(channel)
    assert told[3].zone == "none"
    last = channel.call("guest-get-memory-blocks")[3]
    assert last == {"phys-index": 3, "online": True, "can-offline": False}


def test_entries_that_are_no_blocks_and_gaps(odd):
    memory, channel = odd
    for name in ("memoryfoo", "memory", "memory02", "memory-1", "memory4294967296", "power"):
        (memory / name).mkdir()
        (memory / name / "state").write_text("online\n")
    (memory / "memory9").write_text("a file\n")
    add_block(memory, 70000, node=1)
    shutil.rmtree(memory / "memory1")
    listed, told = answers(channel)
    assert sorted(listed) == [0, 2, 3, 70000]
    assert told[70000].node == 1
    assert [(run["first-block"], run["block-count"]) for run in channel.call("memory-get-map")] \
        == [(0, 1), (2, 2), (70000, 1)]


@pytest.mark.parametrize("size", [128 << 20, 256 << 20, GIB, 2 * GIB])
def test_block_sizes(odd, size):
    memory, channel = odd
    (memory / "block_size_bytes").write_text("%x\n" % size)
    status = channel.call("memory-get-status")
    assert (status["block-size"], status["present"]) == (size, 4 * size)
    assert channel.call("guest-get-memory-block-info") == {"size": size}

"""Trees that no healthy kernel shows: what is odd is told as it is, and hides nothing else."""
import errno
import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from sysroot import MEMORY, add_block, make_tree, memplugd

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
    (memory / "memory3/state").write_text("longer-than-any-word-that-there-is-now\n")
    listed, told = answers(channel)
    assert [told[index].state for index in range(4)] == ["online", "unknown", "going-offline",
                                                         "unknown"]
    assert listed == {0: True, 1: False, 2: False, 3: False}


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


# --- the memory of the boot ---

MIB = 1 << 20
# Of a z/VM guest (util-linux's s390-zvm-6g): (first block, last block, state, valid_zones).
ZVM_BLOCKS = [(0, 6, "online", "DMA"), (7, 7, "online", "none"), (8, 13, "online", "Normal"),
              (14, 14, "offline", "Normal"), (15, 16, "online", "Normal"),
              (17, 18, "online", "none"), (19, 19, "online", "Movable"),
              (20, 23, "offline", "Movable")]


def look(tmp_path, blocks, block_size=256 * MIB, **files):
    """memory-get-status and the devices by id, of a tree of these blocks."""
    memory = make_tree(tmp_path / "tree", 0)
    (memory / "block_size_bytes").write_text("%x\n" % block_size)
    for first, last, state, zones in blocks:
        for index in range(first, last + 1):
            add_block(memory, index, state, zones)
    (tmp_path / "tree/proc").mkdir()
    (tmp_path / "tree/proc/iomem").write_text(files.get("iomem", ""))
    for number, (start, last, kind) in enumerate(files.get("memmap", [])):
        entry = tmp_path / "tree/sys/firmware/memmap" / str(number)
        entry.mkdir(parents=True)
        for name, text in (("start", hex(start)), ("end", hex(last)), ("type", kind)):
            (entry / name).write_text(text + "\n")
    with memplugd(tmp_path / "run", "--sysroot=%s" % (tmp_path / "tree")) as (sock, _), \
            Channel(sock) as channel:
        return (channel.call("memory-get-status"),
                {device["id"]: device for device in channel.call("memory-get-devices")})


def test_standby_memory_is_nobodys(tmp_path):
    status, devices = look(tmp_path, ZVM_BLOCKS)
    assert status["guest-at-boot"] == status["guest-current"] == 19 * 256 * MIB
    assert status["present"] == 6 * GIB
    assert [(device["kind"], device["first-block"], device["block-count"])
            for device in devices.values()] == [
                ("boot", 0, 19), ("other", 14, 1), ("other", 20, 4)]


def test_boot_memory_that_is_offline_is_in_the_firmwares_map(tmp_path):
    """Without the firmware's own; and what lies above the map is standby memory."""
    status, devices = look(
        tmp_path, [(0, 2, "online", "DMA32"), (3, 4, "offline", "Normal")],
        memmap=[(0, 0x9fbff, "System RAM"), (0x9fc00, 0xfffff, "Reserved"),
                (0x100000, GIB - 5 * MIB - 1, "System RAM")])
    assert status["guest-at-boot"] == GIB - 4 * MIB  # to 2 MiB
    assert status["guest-current"] == 768 * MIB
    assert status["online-kernel"] == 768 * MIB
    assert (devices["boot"]["block-count"], devices["other0"]["block-count"]) == (4, 1)


def test_boot_memory_that_ends_within_a_block(tmp_path):
    """1000 MiB; a DIMM's entry in the map is none of the boot's."""
    status, _ = look(tmp_path, [(0, 3, "online", "DMA32")],
                     memmap=[(0, 1000 * MIB - 1, "System RAM"),
                             (4 * GIB, 5 * GIB - 1, "System RAM")])
    assert status["guest-at-boot"] == status["guest-current"] == 1000 * MIB


def test_without_a_firmware_map_iomem_tells(tmp_path):
    """arm64: the firmware's flash is a block too."""
    status, _ = look(tmp_path, [(0, 0, "online", "DMA"), (4, 7, "online", "DMA")],
                     iomem="00000000-07ffffff : reserved\n40000000-7feeffff : System RAM\n"
                           "  40210000-41d0ffff : Kernel code\n7fef0000-7fffffff : reserved\n")
    assert status["guest-at-boot"] == status["guest-current"] == GIB


# --- kernels that show no blocks ---

def no_directory(root):
    shutil.rmtree(root / "sys/devices/system/memory")


def no_size(root):
    (root / "sys/devices/system/memory/block_size_bytes").unlink()


def unreadable_iomem(root):
    """What cannot be read is not what is not there: then virtio-mem would be taken for boot RAM."""
    (root / "proc/iomem").unlink()
    (root / "proc/iomem").mkdir()


def veiled_iomem(root):
    """As the kernel shows it to those who may not know."""
    (root / "proc/iomem").write_text("00000000-00000000 : virtio0\n"
                                     "  00000000-00000000 : System RAM (virtio_mem)\n")


def size_of_0(root):
    (root / "sys/devices/system/memory/block_size_bytes").write_text("0\n")


@pytest.mark.parametrize("spoil, path, cause", [
    (no_directory, "/sys/devices/system/memory", "No such file or directory"),
    (no_size, "/sys/devices/system/memory/block_size_bytes", "No such file or directory"),
    (size_of_0, "/sys/devices/system/memory/block_size_bytes", "Invalid argument"),
    (unreadable_iomem, "/proc/iomem", "Is a directory"),
    (veiled_iomem, "/proc/iomem", "Operation not permitted"),
])
def test_a_kernel_without_blocks(tmp_path, spoil, path, cause):
    """The daemon stays, answers, and says what is the matter; and sees it when it is mended."""
    make_tree(tmp_path / "tree", 4)
    (tmp_path / "tree/proc").mkdir(exist_ok=True)
    (tmp_path / "tree/proc/meminfo").write_text("MemTotal: 2097152 kB\nMemAvailable: 1048576 kB\n")
    (tmp_path / "tree/proc/iomem").write_text(
        "140000000-17fffffff : virtio0\n  140000000-147ffffff : System RAM (virtio_mem)\n")
    spoil(tmp_path / "tree")
    with memplugd(tmp_path / "run", "--sysroot=%s" % (tmp_path / "tree")) as (sock, process), \
            Channel(sock) as channel:
        status = channel.call("memory-get-status")
        assert status["guest-at-boot"] == status["guest-current"] == 2 << 30
        warning, = [found for found in status["warnings"] if found["code"] == "no-memory-hotplug"]
        assert "%s: %s" % (path, cause) in warning["desc"]
        capabilities = {each["name"]: each for each in status["capabilities"]}
        assert set(capabilities) == {"dimm-plug", "dimm-unplug", "virtio-mem", "confidential"}
        for name in ("dimm-plug", "dimm-unplug", "virtio-mem"):
            assert not capabilities[name]["available"]
            assert "%s: %s" % (path, cause) in capabilities[name]["desc"]
        assert channel.call("memory-get-devices") == channel.call("memory-get-map") == []
        assert channel.call("memory-plan-unplug", bytes=1 << 30)["devices"] == []
        assert not channel.call("memory-check-unplug", devices=[{"slot": 0}])["ready-to-prepare"]
        assert channel.call("guest-set-memory-blocks", **{"mem-blks": [
            {"phys-index": 0, "online": True}]}) == [
                {"phys-index": 0, "response": "not-found", "error-code": 2}]
        if spoil is no_size:
            (tmp_path / "tree/sys/devices/system/memory/block_size_bytes").write_text("8000000\n")
            assert len(channel.call("memory-get-map")) > 0
            assert "no-memory-hotplug" not in json.dumps(channel.call("memory-get-status"))
        assert process.poll() is None


def test_figures_that_cannot_be_read(tmp_path):
    """They are not told as 0, and a check says no where it cannot tell."""
    tree = tmp_path / "tree"
    make_tree(tree, 4)
    for path in ("proc/vmstat", "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"):
        (tree / path).mkdir(parents=True)
    (tree / "sys/bus/virtio/drivers/virtio_balloon/virtio3").mkdir(parents=True)
    with memplugd(tmp_path / "run", "--sysroot=%s" % tree) as (sock, _), Channel(sock) as channel:
        status = channel.call("memory-get-status")
        assert "balloon" not in status and status["unplug-limit"] == 0
        assert "balloon-driver" in [warning["code"] for warning in status["warnings"]]
        reasons = channel.call("memory-check-unplug", devices=[{"slot": 0}])["reasons"]
        told = {reason["code"]: reason for reason in reasons}
        for code, path in (("balloon-active", "/proc/vmstat"), ("error", "/sys/kernel/mm/huge")):
            assert told[code]["errno"] == errno.EISDIR and path in told[code]["desc"]


def test_qemu_gas_answers_without_blocks(tmp_path):
    """An empty list, and an error: as qga/commands-linux.c has it."""
    make_tree(tmp_path / "tree", 4)
    no_directory(tmp_path / "tree")
    with memplugd(tmp_path / "run", "--sysroot=%s" % (tmp_path / "tree")) as (sock, _), \
            Channel(sock) as channel:
        assert channel.call("guest-get-memory-blocks") == []
        with pytest.raises(Exception, match=r'open\("/sys/devices/system/memory/"\): No such file'):
            channel.call("guest-get-memory-block-info")


HOTPLUG = "sys/firmware/acpi/hotplug/memory/enabled"


@pytest.mark.parametrize("files, name, available, word", [
    ({}, "dimm-plug", False, "CONFIG_ACPI_HOTPLUG_MEMORY"),
    ({HOTPLUG: "1\n"}, "dimm-plug", True, None),
    ({HOTPLUG: "1\n"}, "dimm-unplug", True, None),
    ({HOTPLUG: "0\n"}, "dimm-plug", True, None),
    ({HOTPLUG: "0\n"}, "dimm-unplug", False, "enabled is 0"),
    ({HOTPLUG: "1\n", **{MEMORY + "/memory%d/removable" % i: "0\n" for i in range(4)}},
     "dimm-unplug", False, "CONFIG_MEMORY_HOTREMOVE"),
    ({}, "virtio-mem", False, "not loaded"),
    ({"sys/bus/virtio/drivers/virtio_mem/bind": ""}, "virtio-mem", True, None),
    ({"sys/bus/virtio/drivers/virtio_mem/bind": "", "sys/bus/virtio/devices/virtio3/device": "0x0018\n"},
     "virtio-mem", False, "virtio3"),
    ({}, "confidential", False, None),
    ({"proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu tdx_guest_x sev\n"}, "confidential", False, None),
    ({"proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu tdx_guest\n"}, "confidential", True, "TDX"),
    ({"sys/devices/virtual/misc/sev-guest/dev": ""}, "confidential", True, "SEV-SNP"),
    ({"sys/firmware/uv/prot_virt_guest": "0\n"}, "confidential", False, None),
    ({"sys/firmware/uv/prot_virt_guest": "1\n"}, "confidential", True, "IBM"),
])
def test_capabilities(tmp_path, files, name, available, word):
    make_tree(tmp_path / "tree", 4)
    for path, text in files.items():
        (tmp_path / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / path).write_text(text)
    with memplugd(tmp_path / "run", "--sysroot=%s" % (tmp_path / "tree")) as (sock, _), \
            Channel(sock) as channel:
        status = channel.call("memory-get-status")
        found, = [each for each in status["capabilities"] if each["name"] == name]
        assert found["available"] == available
        assert word in found["desc"] if word else "desc" not in found
        assert "no-memory-hotplug" not in json.dumps(status)

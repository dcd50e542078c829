"""Captured guests: what memplugd says of a tree is what the tree's own files say.

What is expected is read out of the files by other code than memplugd's, or stands here.
"""
import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from sysroot import MEMORY, ROOT, memplugd, unpack

from guest import GIB, MIB, Channel
from guest.truth import check_listed, expand

SYSROOTS = ROOT / "tests" / "sysroots"
# name -> (kind, id) of the devices, in order of their addresses; codes of the warnings.
EXPECTED = {
    "dimm": ([("boot", "boot", GIB), ("dimm", "slot0", 512 * MIB), ("dimm", "slot1", 256 * MIB)],
             ["unusable-dimm"]),
    "virtio-mem": ([("boot", "boot", GIB), ("virtio-mem", "virtio1", GIB)], []),
    "numa": ([("boot", "boot", GIB), ("dimm", "slot0", 256 * MIB), ("dimm", "slot1", 256 * MIB)],
             []),
    "normal": ([("boot", "boot", GIB), ("dimm", "slot0", 256 * MIB), ("dimm", "slot1", 512 * MIB)],
               ["kernel-zone-blocks", "offline-blocks", "udev-rule"]),
}
# What the virtio-mem guest has plugged, all of it movable.
VIRTIO_MEM_LIMIT = 640 * MIB


class Looked:
    """A captured tree, unpacked, with a memplugd that looks at it."""

    def __init__(self, name, tree, channel):
        self.name, self.tree, self.channel = name, tree, channel
        self.blocks = {}
        for folder in sorted((tree / MEMORY).iterdir()):
            match = re.fullmatch(r"memory(\d+)", folder.name)
            if match:
                self.blocks[int(match[1])] = folder

    def word(self, index, attribute):
        path = self.blocks[index] / attribute
        return (path.read_text().split() or [""])[0] if path.exists() else ""


@pytest.fixture(scope="module", params=sorted(EXPECTED))
def looked(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    unpack((SYSROOTS / (request.param + ".txt")).read_text(), folder / "tree")
    with memplugd(folder / "run", "--sysroot=%s" % (folder / "tree")) as (sock, _), \
            Channel(sock) as channel:
        yield Looked(request.param, folder / "tree", channel)


def test_every_capture_is_expected():
    assert {path.stem for path in SYSROOTS.glob("*.txt")} == set(EXPECTED)


def test_blocks(looked):
    listed = looked.channel.call("guest-get-memory-blocks")
    assert check_listed(listed) == {index: looked.word(index, "state") == "online"
                                    for index in looked.blocks}
    for entry in listed:
        zones = (looked.blocks[entry["phys-index"]] / "valid_zones").read_text().split()
        assert entry["can-offline"] == ("Movable" in zones)


def test_map(looked):
    told = expand(looked.channel.call("memory-get-map"))
    assert set(told) == set(looked.blocks)
    for index, entry in told.items():
        assert entry.state == looked.word(index, "state")
        assert entry.zone == (looked.word(index, "valid_zones") if entry.state == "online"
                              else "none")
        node, = [link.name for link in looked.blocks[index].glob("node*")]
        assert node == "node%d" % entry.node
        acpi = (looked.blocks[index] / "firmware_node/uid")
        if acpi.exists():
            assert entry.device == "slot%d" % int(acpi.read_text(), 16)


def test_runs_are_as_long_as_they_can_be(looked):
    runs = looked.channel.call("memory-get-map")
    for one, other in zip(runs, runs[1:]):
        if one["first-block"] + one["block-count"] == other["first-block"]:
            assert any(one[key] != other[key] for key in ("state", "zone", "node", "device"))


def test_devices(looked):
    devices = looked.channel.call("memory-get-devices")
    assert [(device["kind"], device["id"], device["size"]) for device in devices] == \
        EXPECTED[looked.name][0]
    told = expand(looked.channel.call("memory-get-map"))
    for device in devices:
        own = [entry for entry in told.values() if entry.device == device["id"]]
        assert device["block-count"] == len(own)
        assert device["online-movable"] + device["online-kernel"] == 128 * MIB * sum(
            entry.state == "online" for entry in own)
        assert device["address"] == device["first-block"] * 128 * MIB


def test_status(looked):
    status = looked.channel.call("memory-get-status")
    online = [index for index in looked.blocks if looked.word(index, "state") == "online"]
    assert status["block-size"] == 128 * MIB
    ram = sum(int(last, 16) + 1 - int(first, 16) for first, last in re.findall(
        r"^(\w+)-(\w+) : System RAM$", (looked.tree / "proc/iomem").read_text(), re.M)
        if int(last, 16) < 4 * GIB)
    assert GIB - MIB < ram < GIB
    assert status["guest-at-boot"] == GIB  # to 2 MiB
    assert status["guest-current"] == 128 * MIB * len(online)
    assert status["present"] == 128 * MIB * len(looked.blocks)
    assert status["online-movable"] == 128 * MIB * sum(
        looked.word(index, "valid_zones") == "Movable" for index in online)
    assert sorted({warning["code"] for warning in status["warnings"]}) == \
        sorted(EXPECTED[looked.name][1])
    assert "guest-requested" not in status


def zoneinfo(text):
    """[(is it the kernel's own, {figure: pages})] of each zone that has pages."""
    zones = []
    for part in re.split(r"^Node \d+, zone +", text, flags=re.M)[1:]:
        figures = {"nr_zone_active_file": 0, "nr_zone_inactive_file": 0, "nr_slab_reclaimable": 0}
        figures.update((name, int(number)) for name, number in re.findall(
            r"^ +(?:pages )?(free|high|present|nr_zone_(?:in)?active_file|nr_slab_reclaimable) +(\d+)$", part, re.M))
        if figures["present"] and not part.startswith("Device"):
            zones.append((not part.startswith("Movable"), figures))
    return zones


def test_room(looked):
    """Each figure out of the file that docs/protocol.md names for it."""
    status = looked.channel.call("memory-get-status")
    meminfo = dict(re.findall(r"(\w+): +(\d+)", (looked.tree / "proc/meminfo").read_text()))
    assert status["available"] == int(meminfo["MemAvailable"]) * 1024
    own = [figures for is_own, figures in zoneinfo((looked.tree / "proc/zoneinfo").read_text())
           if is_own]
    assert status["kernel-free"] == 4096 * sum(max(0, figures["free"] - figures["high"])
                                               for figures in own)
    spare = 4096 * sum(figures["free"] for figures in own) + sum(
        4096 * (figures["nr_zone_active_file"] + figures["nr_zone_inactive_file"]
                + figures["nr_slab_reclaimable"]) // 2
        for figures in own)
    floor = max(64 * MIB, 2 * 4096 * sum(figures["high"] for figures in own))
    assert status["plug-limit"] == max(0, spare - floor) * 64 // (128 * MIB) * (128 * MIB)
    assert "pressure" not in status


def test_unplug_limit(looked):
    """So much passes a check, and no other set of devices that is larger."""
    devices = [device for device in looked.channel.call("memory-get-devices")
               if device["kind"] == "dimm"]
    best = 0
    for chosen in range(1, 1 << len(devices)):
        named = [device for n, device in enumerate(devices) if chosen >> n & 1]
        verdict = looked.channel.call("memory-check-unplug",
                                      devices=[{"id": device["id"]} for device in named])
        if verdict["ready-to-prepare"]:
            best = max(best, sum(device["size"] for device in named))
    if not devices:
        best = VIRTIO_MEM_LIMIT
    assert looked.channel.call("memory-get-status")["unplug-limit"] == best


def test_pressure(looked):
    folder = looked.tree / "proc/pressure"
    folder.mkdir()
    (folder / "memory").write_text("some avg10=3.07 avg60=0.00 avg300=0.00 total=1\n"
                                   "full avg10=0.20 avg60=0.00 avg300=0.00 total=1\n")
    try:
        assert looked.channel.call("memory-get-status")["pressure"] == \
            {"some-avg10": 307, "full-avg10": 20}
    finally:
        shutil.rmtree(folder)


def test_target(looked):
    channel = looked.channel
    channel.call("memory-set-events", enabled=True)
    current = channel.call("memory-get-status")["guest-current"]
    channel.call("memory-set-target", bytes=current + GIB)
    assert channel.call("memory-get-status")["guest-requested"] == current + GIB
    assert channel.events == []
    channel.call("memory-set-target", bytes=current)
    channel.call("guest-ping")
    event, = channel.events
    assert (event["event"], event["data"]) == ("MEMORY_TARGET_REACHED", {"bytes": current})
    channel.events.clear()


def test_a_target_is_a_size(looked):
    channel = looked.channel
    for wrong in (-1, "1G", 1.5, None):
        channel.send("memory-set-target", bytes=wrong)
        assert "'bytes'" in channel.receive_message()["error"]["desc"]


def test_no_events_without_asking_nor_after_a_sync(looked):
    channel = looked.channel
    current = channel.call("memory-get-status")["guest-current"]
    channel.call("memory-set-events", enabled=True)
    channel.synchronise()
    channel.call("memory-set-target", bytes=current)
    channel.call("guest-ping")
    assert channel.events == []

"""The guest that docs/protocol.md shows: its /sys and /proc, for a memplugd --sysroot.

1 GiB of boot memory; a DIMM of 512 MiB in slot 0, movable; one of 256 MiB in slot 1 of which the
kernel has half; a virtio-mem device of 256 MiB. Blocks are of 128 MiB.
"""
from daemons import BLOCK_SIZE, make_tree

BOOT_BLOCKS = 8
FIRST = 32  # the first hot-added block, at 4 GiB
# What backs the hot-added blocks, and their zones: (PNP0C80 number or None, zone), from FIRST on.
HOT_ADDED = [(0, "Movable")] * 4 + [(1, "Normal"), (1, "Movable")] + [(None, "Movable")] * 2


def _add_acpi_device(root, number, blocks):
    """The ACPI device of a DIMM in slot NUMBER, linked to and from its blocks."""
    name = "PNP0C80:%02x" % number
    place = root / "sys/devices/LNXSYSTM:00" / name
    place.mkdir(parents=True)
    for attribute, text in [("status", "15"), ("uid", "0x%02x" % number),
                            ("path", "\\_SB_.MHPC.MP%02X" % number)]:
        (place / attribute).write_text(text + "\n")
    bus = root / "sys/bus/acpi/devices"
    bus.mkdir(parents=True, exist_ok=True)
    (bus / name).symlink_to("../../../devices/LNXSYSTM:00/" + name)
    for index in blocks:
        block = root / "sys/devices/system/memory" / ("memory%d" % index)
        (block / "firmware_node").symlink_to("../../../LNXSYSTM:00/" + name)
    (place / "physical_node").symlink_to("../../system/memory/memory%d" % blocks[0])


def _iomem():
    """DIMMs are System RAM; a virtio-mem device's is below the device's own range."""
    def line(first, count, name, indent=""):
        return "%s%09x-%09x : %s\n" % (indent, first * BLOCK_SIZE,
                                       (first + count) * BLOCK_SIZE - 1, name)

    return (line(0, BOOT_BLOCKS, "System RAM") + line(FIRST, 4, "System RAM")
            + line(FIRST + 4, 2, "System RAM") + line(FIRST + 6, 4, "virtio0")
            + line(FIRST + 6, 2, "System RAM (virtio_mem)", "  "))


def _zoneinfo():
    zones = [zone for _, zone in HOT_ADDED]
    pages = {"DMA32": BOOT_BLOCKS * BLOCK_SIZE >> 12,
             "Normal": zones.count("Normal") * BLOCK_SIZE >> 12,
             "Movable": zones.count("Movable") * BLOCK_SIZE >> 12}
    return "".join("Node 0, zone %8s\n  pages free     %d\n        min      1000\n"
                   "        low      2000\n        high     3000\n        spanned  %d\n"
                   "        present  %d\n        managed  %d\n        present_early %d\n"
                   % (zone, count // 2, count, count, count, count if zone == "DMA32" else 0)
                   for zone, count in pages.items())


def make_example_tree(root):
    """Makes it below ROOT, which is not there yet."""
    make_tree(root, boot_blocks=BOOT_BLOCKS, dimm_blocks=len(HOT_ADDED))
    for offset, (_, zone) in enumerate(HOT_ADDED):
        block = root / "sys/devices/system/memory" / ("memory%d" % (FIRST + offset))
        (block / "valid_zones").write_text(zone + "\n")
    for number in (0, 1):
        _add_acpi_device(root, number, [FIRST + offset for offset, (slot, _) in
                                        enumerate(HOT_ADDED) if slot == number])
    (root / "proc/iomem").write_text(_iomem())
    (root / "proc/zoneinfo").write_text(_zoneinfo())
    hotplug = root / "sys/firmware/acpi/hotplug/memory"
    hotplug.mkdir(parents=True)
    (hotplug / "enabled").write_text("1\n")
    (root / "sys/bus/virtio/drivers/virtio_mem").mkdir(parents=True)
    return root

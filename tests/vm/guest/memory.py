"""The guest's memory as its own kernel shows it, and the host's plugging of it.

Nothing here asks memplugd: these are the facts that its answers are held against.
"""
import re
from collections import namedtuple

from .qmp import QmpError
from .waiting import PATIENCE_S, wait_until

MIB = 1 << 20
GIB = 1 << 30

# What a guest says in ACPI_DEVICE_OST: what it is about, and that it has only begun.
OST_EJECT = 3
OST_IN_PROGRESS = 132

# One memory block: its index, `state`, the first zone of `valid_zones` and the device behind it
# (a PNP0C80 device's slot) or None.
Block = namedtuple("Block", "index state zone slot")

# A page of block `block` that cannot move while `job`, the program that holds it, runs.
Pin = namedtuple("Pin", "job block")

# Shell built-ins only: a fork for every attribute would cost seconds under emulation.
# `valid_zones` is read only once the block has a node: earlier it can oops the kernel.
LIST_BLOCKS = r"""
cd /sys/devices/system/memory
for block in memory[0-9]*; do
    state=gone; zones=-; slot=-
    read -r state <$block/state || continue
    set -- $block/node*
    [ -e "$1" ] && read -r zones <$block/valid_zones
    [ -e $block/firmware_node/uid ] && read -r slot <$block/firmware_node/uid
    echo "${block#memory} $state $slot $zones"
done 2>/dev/null
"""


class Memory:
    """What Guest can do with memory. Needs `shells` and `qmp` of the class it is mixed into."""

    def blocks(self):
        """index -> Block for every block, by the guest's sysfs."""
        found = {}
        for line in self.shells.output(LIST_BLOCKS).splitlines():
            index, state, slot, zone = line.split()[:4]
            found[int(index)] = Block(int(index), state, zone,
                                      None if slot == "-" else int(slot, 16))
        return found

    def dimm_blocks(self, dimm):
        """The blocks that lie in the DIMM whose QEMU id is `dimm`; {} once it is gone."""
        device = self.dimm(dimm)
        if device is None:
            return {}
        first = device["addr"] // self.block_size()
        last = (device["addr"] + device["size"]) // self.block_size()
        return {index: block for index, block in self.blocks().items() if first <= index < last}

    def block_size(self):
        if self._block_size is None:
            text = self.shells.output("cat /sys/devices/system/memory/block_size_bytes")
            self._block_size = int(text, 16)
        return self._block_size

    def meminfo(self):
        """/proc/meminfo in bytes."""
        lines = self.shells.output("cat /proc/meminfo")
        return {name: int(kib) << 10
                for name, kib in re.findall(r"^(\S+):\s+(\d+) kB$", lines, re.M)}

    def oom_kills(self):
        """How often the kernel killed something for want of memory since boot."""
        return int(self.shells.output("grep '^oom_kill ' /proc/vmstat").split()[1])

    def dimm(self, dimm):
        """QEMU's own description of a DIMM (addr, size, slot, …), or None."""
        for device in self.qmp.command("query-memory-devices"):
            if device["data"].get("id") == dimm:
                return device["data"]
        return None

    def add_dimm(self, dimm, size_bytes, **properties):
        """Plugs a DIMM; the guest has yet to notice."""
        self.qmp.command("object-add", qom_type="memory-backend-ram", id=dimm + "-ram",
                         size=size_bytes)
        self.qmp.command("device_add", driver="pc-dimm", id=dimm, memdev=dimm + "-ram",
                         **properties)

    def plug_dimm(self, dimm, size_bytes=GIB, **properties):
        """Plugs a DIMM and waits until the guest has all its blocks. Returns dimm().

        `properties`: more of pc-dimm's, such as node=1.
        """
        self.add_dimm(dimm, size_bytes, **properties)
        expected = size_bytes // self.block_size()
        wait_until(lambda: len(self.dimm_blocks(dimm)) == expected,
                   "%d blocks of %s in the guest" % (expected, dimm))
        return self.dimm(dimm)

    def device_del(self, dimm):
        """Asks QEMU to take the DIMM away. Returns a mark for the events that follow."""
        mark = self.qmp.mark()
        self.qmp.command("device_del", id=dimm)
        return mark

    def wait_deleted(self, dimm, since=0, timeout=PATIENCE_S):
        """Waits for DEVICE_DELETED and gives the DIMM's memory back to the host."""
        event = self.qmp.wait_event("DEVICE_DELETED", {"device": dimm}, since, timeout)
        wait_until(lambda: self._remove_backend(dimm), "the memory of %s to be free" % dimm)
        return event

    def _remove_backend(self, dimm):
        """True once it is done. QEMU says DEVICE_DELETED a moment before it lets go of it."""
        try:
            self.qmp.command("object-del", id=dimm + "-ram")
        except QmpError as problem:
            if "in use" not in problem.desc:
                raise
            return False
        return True

    def eject_refusal(self, dimm, since):
        """The status of the guest's refusal to give the DIMM back, or None where there is none."""
        for event in self.qmp.events[since:]:
            info = event.get("data", {}).get("info", {})
            if (event["event"] == "ACPI_DEVICE_OST" and info.get("device") == dimm
                    and info["source"] == OST_EJECT and info["status"] not in (0, OST_IN_PROGRESS)):
                return info["status"]
        return None

    def set_block(self, index, state):
        """Writes a block's state. Returns (exit status, output)."""
        return self.shells.run("echo %s >/sys/devices/system/memory/memory%d/state"
                               % (state, index))

    def wait_states(self, dimm, state, zone=None, timeout=PATIENCE_S):
        """Waits until every block of the DIMM is in `state` (and `zone`); returns the blocks."""
        def look():
            blocks = self.dimm_blocks(dimm)
            good = blocks and all(block.state == state and zone in (None, block.zone)
                                  for block in blocks.values())
            return blocks if good else None

        return wait_until(look, "every block of %s to be %s %s" % (dimm, state, zone or ""),
                          timeout)

    def pin(self, blocks):
        """Pins a page in one of `blocks` (indices without gaps). Returns a Pin."""
        job = self.shells.start("pin %d %d" % (min(blocks), max(blocks)))
        return Pin(job, int(job.wait_output("pinned").split()[1]))

    def unpin(self, pin):
        """Lets the page go; one that is gone already is no error."""
        pin.job.kill("KILL")
        pin.job.wait()

    def inject_error(self, action, errno=0):
        """Makes the kernel's memory notifier answer -errno to `action`; 0 clears it."""
        self.shells.output("echo %d >/sys/kernel/debug/notifier-error-inject/memory/actions/"
                           "%s/error" % (-errno, action))

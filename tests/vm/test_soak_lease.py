"""A lease that ends at every moment of an eject: the DIMM is whole or gone, never half."""
import os
import time

import figures
from guest import MIB
from guest.jobs import ENDED, prepare, query, wait_job
from guest.waiting import wait_until

ROUNDS = 40 if os.environ.get("SOAK") == "1" else 6
# How long before the end of the lease (in ms; negative: after it) the host ejects. With the channel's
# and QEMU's own time this goes from well before to after it.
EARLIEST_MS, LATEST_MS = 400, -40


def whole(guest, dimm, n_blocks):
    blocks = guest.dimm_blocks(dimm)
    return len(blocks) == n_blocks and {(block.state, block.zone) for block in blocks.values()} == {
        ("online", "Movable")}


def one_round(guest, agent, before_ms):
    """Returns "gone" or "whole"."""
    if guest.dimm("dimm") is None:
        guest.plug_dimm("dimm", 512 * MIB)
    guest.wait_states("dimm", "online", "Movable")
    job = prepare(agent, {"slot": guest.dimm("dimm")["slot"]}, lease_ms=4000)
    wait_job(agent, job, "ready")
    left_ms = query(agent, job)["lease-left-ms"]
    time.sleep(max(left_ms - before_ms, 0) / 1000)
    mark = guest.device_del("dimm")

    def settled():
        if guest.qmp.find_event("DEVICE_DELETED", {"device": "dimm"}, mark):
            return "gone"
        refused = guest.eject_refusal("dimm", mark)
        return "whole" if refused and whole(guest, "dimm", 4) else None

    record = wait_job(agent, job, *ENDED)
    end = wait_until(settled, "the DIMM to be whole or gone")
    if end == "gone":
        guest.qmp.command("object-del", id="dimm-ram")
        assert record["state"] in ("unplugged", "expired")
        wait_until(lambda: not [block for block in guest.blocks().values() if block.slot is not None],
                   "its blocks to be gone")
    else:
        assert record["state"] == "expired"
    return end


def test_whole_or_gone(guest, agent):
    ends = {"gone": 0, "whole": 0}
    for number in range(ROUNDS):
        step = (EARLIEST_MS - LATEST_MS) / (ROUNDS - 1)
        ends[one_round(guest, agent, EARLIEST_MS - number * step)] += 1
        assert guest.shells.output(
            "cat /sys/firmware/acpi/hotplug/memory/enabled").strip() == "1"
    figures.record("lease ends during an eject", rounds=ROUNDS, half_dimms=0, **ends)
    assert guest.oom_kills() == 0

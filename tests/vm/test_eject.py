"""The barrier: no rollback brings half a DIMM back while an eject is in flight."""
import pytest

from guest.jobs import ENDED, prepare, wait_job
from guest.waiting import wait_until


@pytest.fixture
def hung_eject(guest, agent, dimm):
    """A second DIMM that the host has unplugged blindly: its eject cannot end while a page of it
    is pinned, and the kernel holds its hot-plug locks all along. Yields the pin."""
    guest.plug_dimm("blind")
    blocks = guest.wait_states("blind", "online", "Movable")
    pin = guest.pin(blocks)
    yield pin
    guest.unpin(pin)


# While a process writes 0 to this, no eject is under way: the write waits for the one that is.
BARRIER = "/sys/firmware/acpi/hotplug/memory/enabled"


def at_barrier(guest):
    """True while the rollback waits behind the eject, before it brings any block online."""
    return guest.shell("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q %s" % BARRIER)[0] == 0


def whole_or_gone(guest, dimm, since):
    """"back" once the eject is refused and all blocks are back, "gone" once QEMU has the DIMM."""
    if guest.dimm(dimm) is None:
        return "gone"
    blocks = guest.dimm_blocks(dimm)
    back = len(blocks) == 8 and {(block.state, block.zone) for block in blocks.values()} == {
        ("online", "Movable")}
    return "back" if back and guest.eject_refusal(dimm, since) else None


def test_a_lease_ends_behind_a_hung_eject(guest, agent, dimm, hung_eject):
    pin = hung_eject
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]}, lease_ms=15000)
    wait_job(agent, job, "ready")
    guest.device_del("blind")
    wait_until(lambda: guest.blocks()[pin.block].state == "going-offline",
               "the blind eject to hang")
    mark = guest.device_del(dimm)  # queued in the kernel, behind the other

    wait_job(agent, job, "rolling-back")
    wait_until(lambda: at_barrier(guest), "the rollback to wait at the barrier")
    for _ in range(20):
        assert agent.call("guest-ping") == {}
        states = {block.state for block in guest.dimm_blocks(dimm).values()}
        assert states == {"offline"}, "the rollback did not wait for the eject"

    guest.unpin(pin)
    guest.wait_deleted("blind")
    record = wait_job(agent, job, *ENDED)
    end = wait_until(lambda: whole_or_gone(guest, dimm, mark), "the DIMM to be whole or gone")
    if end == "gone":
        guest.wait_deleted(dimm)
        assert [device["state"] for device in record["devices"]] == ["unplugged"]
    else:
        assert record["state"] == "expired"


def test_its_own_eject_hangs_while_the_lease_ends(guest, agent, dimm):
    """One block is online again and pinned when the host unplugs: the eject waits for it."""
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]}, lease_ms=10000)
    wait_job(agent, job, "ready")
    blocks = guest.dimm_blocks(dimm)
    last = max(blocks)

    # The daemon sleeps through this, or it would take the block offline before it is pinned.
    guest.shells.output("kill -STOP $(cat /run/memplugd.pid)")
    assert guest.set_block(last, "online_movable") == (0, "")
    pin = guest.pin([last])
    guest.device_del(dimm)
    wait_until(lambda: guest.blocks()[last].state == "going-offline", "the eject to hang")
    guest.shells.output("sleep 11; kill -CONT $(cat /run/memplugd.pid)")

    wait_job(agent, job, "rolling-back")
    wait_until(lambda: at_barrier(guest), "the rollback to wait at the barrier")
    for _ in range(20):
        assert agent.call("guest-ping") == {}
        states = [block.state for index, block in guest.dimm_blocks(dimm).items() if index != last]
        assert states == ["offline"] * 7, "the rollback did not wait for the eject"

    guest.unpin(pin)
    guest.wait_deleted(dimm)
    record = wait_job(agent, job, *ENDED)
    assert [device["state"] for device in record["devices"]] == ["unplugged"]

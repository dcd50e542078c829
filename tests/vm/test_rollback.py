"""A prepare that cannot succeed fails with a reason and puts every block back."""
import errno

import pytest

from guest import MIB
from guest.jobs import codes, prepare, query, reasons, refused_prepare, wait_job
from guest.waiting import wait_until


@pytest.fixture
def pinned(guest, dimm):
    """The index of a block of the DIMM that holds a page which cannot move."""
    pin = guest.pin(guest.dimm_blocks(dimm))
    yield pin.block
    guest.unpin(pin)


def slot(guest, dimm):
    return {"slot": guest.dimm(dimm)["slot"]}


def wait_stuck(guest, index):
    """Waits until the kernel is at the pinned block."""
    wait_until(lambda: guest.blocks()[index].state == "going-offline",
               "the kernel to try block %d" % index)


def assert_restored(guest, dimm):
    """At the moment a job has ended, not a while after."""
    assert {(block.state, block.zone) for block in guest.dimm_blocks(dimm).values()} == {
        ("online", "Movable")}
    assert guest.oom_kills() == 0


def test_the_kernel_refuses_the_third_block(guest, agent, dimm):
    record = refused_prepare(guest, agent, dimm, 2, errno.EBUSY, timeout_ms=8000)
    assert_restored(guest, dimm)
    guest.inject_error("MEM_GOING_OFFLINE")
    refusals = [reason for reason in reasons(record) if reason.get("errno") == errno.EBUSY]
    assert refusals and refusals[0]["block"] in guest.dimm_blocks(dimm)
    assert refusals[0]["desc"]


def test_a_pinned_page_ends_in_a_timeout(guest, agent, dimm, pinned):
    job = prepare(agent, slot(guest, dimm), timeout_ms=7000)
    record = wait_job(agent, job, "failed")
    assert_restored(guest, dimm)
    assert "timeout" in codes(record)
    assert pinned in {reason.get("block") for reason in reasons(record)}


def test_memory_runs_low_in_the_middle(guest, agent, dimm, pinned):
    job = prepare(agent, slot(guest, dimm), timeout_ms=600000)
    wait_stuck(guest, pinned)
    hog = guest.shell_start("hog -u %d" % ((guest.meminfo()["MemAvailable"] >> 20) - 30))
    record = wait_job(agent, job, "failed")
    assert "low-memory" in codes(record)
    assert_restored(guest, dimm)
    hog.wait_output("ready")
    hog.kill()
    hog.wait()


def test_cancel_in_the_middle(guest, agent, dimm, pinned):
    job = prepare(agent, slot(guest, dimm), timeout_ms=600000)
    wait_stuck(guest, pinned)
    agent.call("memory-cancel-unplug", job=job)
    wait_job(agent, job, "cancelled")
    assert_restored(guest, dimm)


def test_cancel_gives_the_lease_back(guest, agent, dimm):
    job = prepare(agent, slot(guest, dimm))
    wait_job(agent, job, "ready")
    agent.call("memory-cancel-unplug", job=job)
    wait_job(agent, job, "cancelled")
    assert_restored(guest, dimm)


def test_the_lease_ends(guest, agent, dimm):
    job = prepare(agent, slot(guest, dimm), lease_ms=1000)
    record = wait_job(agent, job, "expired")
    assert_restored(guest, dimm)
    assert "lease-left-ms" not in record


def test_a_block_that_comes_back_is_no_longer_ready(guest, agent, dimm):
    """A coldplug under a distribution's rule does this to a prepared block."""
    job = prepare(agent, slot(guest, dimm))
    wait_job(agent, job, "ready")
    # Movable: in a kernel zone the kernel might keep it for good, which is another test's matter.
    index = min(guest.dimm_blocks(dimm))
    assert guest.set_block(index, "online_movable") == (0, "")

    def settled():
        record = query(agent, job)
        offline = {block.state for block in guest.dimm_blocks(dimm).values()} == {"offline"}
        return record["state"] == "failed" or (record["state"] == "ready" and offline)

    wait_until(settled, "the job to be ready again, or to be over")


def test_a_part_goes_where_another_cannot(guest, agent, dimm, pinned):
    """One DIMM holds a page that cannot move; another is no DIMM's name; the third is taken."""
    guest.plug_dimm("free", 256 * MIB)
    guest.wait_states("free", "online", "Movable")
    devices = [slot(guest, dimm), slot(guest, "free"), {"slot": 15}]
    record = wait_job(agent, prepare(agent, *devices, timeout_ms=5000), "failed")
    assert "no-such-device" in codes(record)
    job = prepare(agent, *devices, timeout_ms=20000, allow_partial=True)
    record = wait_job(agent, job, "ready")
    states = {device["id"]: device["state"] for device in record["devices"]}
    names = {name: "slot%d" % guest.dimm(name)["slot"] for name in (dimm, "free")}
    assert states == {names[dimm]: "in-use", names["free"]: "ready", "slot15": "in-use"}
    assert record["blocks-total"] == 2 and record["bytes"] == 256 * MIB
    assert pinned in {reason.get("block") for reason in reasons(record)}
    assert_restored(guest, dimm)
    guest.wait_states("free", "offline")
    guest.wait_deleted("free", guest.device_del("free"))
    wait_job(agent, job, "unplugged")

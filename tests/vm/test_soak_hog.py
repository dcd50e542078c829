"""Round after round beside a process that rewrites its memory all the time.

Ready may fail to come, but never lies: after every ready the DIMM goes, nothing is killed, and no
block is lost or left in a kernel zone.
"""
import os

import pytest

import figures
from guest import GIB, MIB
from guest.jobs import prepare, wait_job

ROUNDS = 100 if os.environ.get("SOAK") == "1" else 8
# Of the 1 GiB DIMM and the guest's own 1 GiB. The last two leave too little for the DIMM to go: those
# rounds have to be refused or rolled back.
HOGS_MIB = (200, 300, 400, 500, 1100, 1300)


def whole(guest, dimm):
    return {(block.state, block.zone) for block in guest.dimm_blocks(dimm).values()} == {
        ("online", "Movable")}


@pytest.fixture
def counts():
    return {"ready": 0, "refused": 0}


def one_round(guest, agent, number, counts):
    dimm = "dimm%d" % number
    slot = {"slot": guest.plug_dimm(dimm)["slot"]}
    guest.wait_states(dimm, "online", "Movable")
    hog = guest.shell_start("hog -r %d" % HOGS_MIB[number % len(HOGS_MIB)])
    hog.wait_output("ready")

    record = wait_job(agent, prepare(agent, slot, timeout_ms=30000), "ready", "failed")
    if record["state"] == "ready":
        counts["ready"] += 1
        guest.wait_deleted(dimm, guest.device_del(dimm))
        wait_job(agent, record["job"], "unplugged")
        assert guest.dimm_blocks(dimm) == {}
    else:
        counts["refused"] += 1
        assert record["reasons"]
        assert whole(guest, dimm), "a block was lost"
    assert hog.status() is None, "the hog was killed"
    hog.kill()
    hog.wait()
    if record["state"] == "failed":
        record = wait_job(agent, prepare(agent, slot), "ready")
        guest.wait_deleted(dimm, guest.device_del(dimm))
        wait_job(agent, record["job"], "unplugged")


def test_every_ready_is_kept(guest, agent, counts):
    boot_blocks = guest.blocks()
    for number in range(ROUNDS):
        one_round(guest, agent, number, counts)
        assert guest.blocks() == boot_blocks
        assert guest.oom_kills() == 0
    figures.record("hog", rounds=ROUNDS, ready=counts["ready"], deleted=counts["ready"],
                   refused_and_whole=counts["refused"], oom_kills=guest.oom_kills())
    assert counts["ready"] > 0 and counts["refused"] > 0


def test_low_memory_is_told_in_bytes(guest, agent, dimm):
    hog = guest.shell_start("hog -u 1000")
    hog.wait_output("ready")
    available = guest.meminfo()["MemAvailable"]
    verdict = agent.call("memory-check-unplug", devices=[{"slot": guest.dimm(dimm)["slot"]}])
    reason, = [reason for reason in verdict["reasons"] if reason["code"] == "low-memory"]
    assert verdict["ready-to-prepare"] is False
    assert verdict["needed-bytes"] == GIB
    assert verdict["reserve-bytes"] == 64 * MIB
    assert abs(verdict["available-bytes"] - available) < 64 * MIB
    assert reason["bytes"] == GIB + 64 * MIB - verdict["available-bytes"]
    for figure in ("needed-bytes", "available-bytes", "reserve-bytes"):
        assert str(verdict[figure]) in reason["desc"]
    hog.kill()
    hog.wait()

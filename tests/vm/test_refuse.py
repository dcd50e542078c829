"""What cannot be prepared is refused at once, each case with its own code, and nothing changes."""
import pytest

from guest import GIB, Archive
from guest.jobs import codes, prepare, wait_job


def refused(agent, device):
    """The codes with which check and prepare refuse a device; they must agree."""
    verdict = agent.call("memory-check-unplug", devices=[device])
    assert verdict["ready-to-prepare"] is False
    record = wait_job(agent, prepare(agent, device), "failed")
    assert codes(record) == codes(verdict)
    return codes(record)


@pytest.fixture
def unchanged(guest, dimm):
    """The blocks are afterwards as they were before."""
    before = guest.blocks()
    yield
    assert guest.blocks() == before


def test_boot_memory(guest, agent, unchanged):
    assert refused(agent, {"address": guest.block_size(),
                           "size": guest.block_size()}) == {"boot-memory"}


def test_an_empty_slot(guest, agent, unchanged):
    assert refused(agent, {"slot": 15}) == {"no-such-device"}


def test_no_slot_at_all(guest, agent, unchanged):
    assert refused(agent, {"slot": 4000}) == {"no-such-device"}


def test_half_a_dimm(guest, agent, dimm, unchanged):
    plugged = guest.dimm(dimm)
    assert refused(agent, {"address": plugged["addr"],
                           "size": plugged["size"] // 2}) == {"partial-device"}


def test_a_block_in_a_kernel_zone(boot):
    # In a guest of its own: the kernel may use the block for good. And not one that the agent
    # would make movable again before it is asked.
    config = Archive()
    config.file("etc/memplug/memplugd.conf.d/50-test.conf", "[online]\nrezone=no\n")
    guest = boot(overlays=[config])
    with guest.channel() as agent:
        guest.plug_dimm("dimm")
        last = max(guest.wait_states("dimm", "online", "Movable"))
        guest.shells.output("cd /sys/devices/system/memory/memory%d; "
                            "echo offline >state; echo online_kernel >state" % last)
        before = guest.blocks()
        assert before[last].zone == "Normal"
        assert refused(agent, {"slot": guest.dimm("dimm")["slot"]}) == {"not-movable"}
        assert guest.blocks() == before


def test_too_little_memory_left(guest, agent, dimm, unchanged):
    hog = guest.shell_start("hog -u 1000")
    hog.wait_output("ready")
    assert refused(agent, {"slot": guest.dimm(dimm)["slot"]}) == {"low-memory"}
    assert hog.status() is None
    assert guest.oom_kills() == 0
    hog.kill()
    hog.wait()


def test_a_dimm_that_a_job_has(guest, agent, dimm):
    slot = {"slot": guest.dimm(dimm)["slot"]}
    job = prepare(agent, slot)
    wait_job(agent, job, "ready")
    record = wait_job(agent, prepare(agent, slot), "failed")
    assert codes(record) == {"already-preparing"}
    assert guest.wait_states(dimm, "offline")
    agent.call("memory-cancel-unplug", job=job)
    wait_job(agent, job, "cancelled")


def test_check_of_a_good_dimm_changes_nothing(guest, agent, dimm, unchanged):
    verdict = agent.call("memory-check-unplug", devices=[{"slot": guest.dimm(dimm)["slot"]}])
    assert verdict["ready-to-prepare"] is True
    assert verdict["needed-bytes"] == GIB
    assert verdict["available-bytes"] > GIB + verdict["reserve-bytes"]

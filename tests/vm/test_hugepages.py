"""Free huge pages leave the pool with the blocks of a job, and come back with them, on their node."""
import pytest

from guest import GIB, MIB
from guest.jobs import codes, prepare, wait_job
from guest.waiting import wait_until

GUEST = {"memory": "2G", "devices": ["-object", "memory-backend-ram,id=m0,size=2G",
                                     "-numa", "node,nodeid=0,memdev=m0,cpus=0-1",
                                     "-numa", "node,nodeid=1"]}
NODE1 = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages"
WANTED = 300


def pools(guest):
    """Huge pages on node 0 and on node 1."""
    return [int(guest.shells.output(
        "cat /sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages 2>/dev/null"
        " || echo 0" % node)) for node in (0, 1)]


@pytest.fixture
def filled(guest, agent):
    """A DIMM that is all of node 1, with free huge pages in it: (slot, the pools)."""
    guest.plug_dimm("dimm", node=1)
    guest.wait_states("dimm", "online", "Movable")
    guest.shells.output("echo %d >/proc/sys/vm/nr_hugepages" % WANTED)
    before = pools(guest)
    assert sum(before) == WANTED and before[1] > 50
    yield {"slot": guest.dimm("dimm")["slot"]}, before
    agent.close()
    guest.shells.output("echo 0 >/proc/sys/vm/nr_hugepages")
    with guest.channel() as channel:
        job = prepare(channel, {"slot": guest.dimm("dimm")["slot"]})
        wait_job(channel, job, "ready")
        guest.wait_deleted("dimm", guest.device_del("dimm"))
        wait_job(channel, job, "unplugged")


def ready(channel, slot, **arguments):
    job = prepare(channel, slot, **arguments)
    wait_job(channel, job, "ready")
    return job


def test_a_cancel_and_a_lease_that_ends(guest, agent, filled):
    slot, before = filled
    job = ready(agent, slot)
    assert pools(guest) == [before[0], 0]
    agent.call("memory-cancel-unplug", job=job)
    record = wait_job(agent, job, "cancelled")
    assert pools(guest) == before and "hugepages-lost" not in codes(record)
    job = ready(agent, slot, lease_ms=100)
    record = wait_job(agent, job, "expired")
    assert pools(guest) == before and "hugepages-lost" not in codes(record)
    # What starts now finds all of them.
    hog = guest.shell_start("hugehog")
    hog.wait_output("ready %d" % WANTED)
    hog.kill()
    hog.wait()


def test_a_guest_that_is_mostly_free_huge_pages(guest, agent, filled):
    """They are not available, and need not be: what is left moves, and no more is asked for."""
    slot, _ = filled
    for _ in range(2):  # until less than a block and the reserve are available
        spare = guest.meminfo()["MemAvailable"] - 180 * MIB
        guest.shells.output("echo %d >/proc/sys/vm/nr_hugepages" % (sum(pools(guest)) + spare // (2 * MIB)))
    before = pools(guest)
    assert before[1] * 2 * MIB > 800 * MIB and guest.meminfo()["MemAvailable"] < 200 * MIB
    verdict = agent.call("memory-check-unplug", devices=[slot])
    assert verdict["ready-to-prepare"], verdict
    assert abs(GIB - before[1] * 2 * MIB - verdict["needed-bytes"]) <= 16 * MIB
    assert agent.call("memory-get-status")["unplug-limit"] == GIB
    job = ready(agent, slot)
    assert pools(guest) == [before[0], 0]
    agent.call("memory-cancel-unplug", job=job)
    wait_job(agent, job, "cancelled")
    assert pools(guest) == before


def test_a_daemon_that_is_killed(guest, agent, filled):
    """While blocks go offline, and again as the job is ready."""
    slot, before = filled
    job = prepare(agent, slot)
    wait_until(lambda: pools(guest)[1] < before[1], "the first block to take huge pages along")
    for _ in range(2):
        agent.close()
        guest.shells.output("kill -KILL $(cat /run/memplugd.pid)")
        wait_until(lambda: guest.shell("pidof memplugd")[0] != 0, "the daemon to die")
        guest.start_daemon()
        agent = guest.channel()
        wait_job(agent, job, "ready")
        assert pools(guest) == [before[0], 0]
    agent.call("memory-cancel-unplug", job=job)
    record = wait_job(agent, job, "cancelled")
    agent.close()
    assert pools(guest) == before and "hugepages-lost" not in codes(record)


def test_a_pool_that_somebody_has_filled_meanwhile(guest, agent, filled):
    slot, before = filled
    job = ready(agent, slot)
    guest.shells.output("echo %d >/proc/sys/vm/nr_hugepages" % WANTED)
    assert pools(guest) == [WANTED, 0]
    agent.call("memory-cancel-unplug", job=job)
    wait_job(agent, job, "cancelled")
    assert pools(guest) == [WANTED, 0]


def test_pages_that_do_not_come_back_are_told(guest, agent, filled):
    slot, before = filled
    guest.plug_dimm("other", 128 * MIB, node=1)  # so that the node stays, and the mount below
    guest.wait_states("other", "online", "Movable")
    job = ready(agent, slot)
    # A kernel without room is hard to make; a write that reaches no pool ends as that does.
    guest.shells.output("echo 0 >/run/nowhere; mount --bind /run/nowhere {0} && "
                        "mount -o remount,ro,bind {0}".format(NODE1))
    agent.call("memory-cancel-unplug", job=job)
    record = wait_job(agent, job, "cancelled")
    lost = [reason for reason in record["reasons"] if reason["code"] == "hugepages-lost"]
    assert len(lost) == 1 and lost[0]["bytes"] == before[1] * 2 * MIB
    assert lost[0]["desc"].startswith("%d huge pages of 2 MiB" % before[1])
    assert "node 1" in lost[0]["desc"]
    guest.shells.output("umount %s" % NODE1)
    job = ready(agent, {"slot": guest.dimm("other")["slot"]})
    guest.wait_deleted("other", guest.device_del("other"))
    wait_job(agent, job, "unplugged")


def test_nothing_is_put_back_for_memory_that_is_gone(guest, agent, filled):
    slot, before = filled
    job = ready(agent, slot)
    guest.wait_deleted("dimm", guest.device_del("dimm"))
    record = wait_job(agent, job, "unplugged")
    assert pools(guest) == [before[0], 0]
    assert "hugepages-lost" in codes(record)  # as the check foretold
    guest.plug_dimm("dimm", node=1)
    guest.wait_states("dimm", "online", "Movable")

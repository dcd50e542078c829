"""What a check says of a guest with two nodes, and of its huge pages, before anything is taken offline."""
import re

import pytest

from guest import GIB, MIB
from guest.jobs import prepare, wait_job
from guest.waiting import wait_until

GUEST = {"memory": "2G", "devices": ["-object", "memory-backend-ram,id=m0,size=2G",
                                     "-numa", "node,nodeid=0,memdev=m0,cpus=0-1",
                                     "-numa", "node,nodeid=1"]}
CGROUP = "/tmp/cgroup"
POOL = "/proc/sys/vm/nr_hugepages"


@pytest.fixture
def dimm(guest, agent):
    """A DIMM that is all the memory of node 1."""
    guest.plug_dimm("dimm", node=1)
    guest.wait_states("dimm", "online", "Movable")
    yield "dimm"
    guest.shells.output("echo 0 >%s" % POOL)
    job = prepare(agent, {"slot": guest.dimm("dimm")["slot"]})
    wait_job(agent, job, "ready")
    guest.wait_deleted("dimm", guest.device_del("dimm"))
    wait_job(agent, job, "unplugged")


def check(guest, agent, dimm):
    """The verdict, its reasons by code."""
    verdict = agent.call("memory-check-unplug", devices=[{"slot": guest.dimm(dimm)["slot"]}])
    found = {reason["code"]: reason for reason in verdict["reasons"]}
    assert len(found) == len(verdict["reasons"])
    return verdict["ready-to-prepare"], found


def pool_in_dimm(guest):
    """Free huge pages on the DIMM's node."""
    return int(guest.shells.output(
        "cat /sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages"))


def test_the_last_memory_of_a_node(guest, agent, dimm):
    ready, found = check(guest, agent, dimm)
    assert ready and set(found) == {"last-of-node"}
    assert found["last-of-node"]["bytes"] == GIB
    assert "node 1 " in found["last-of-node"]["desc"]


def test_a_cpuset_that_allows_no_other_node(guest, agent, dimm):
    guest.shells.output("mkdir -p {0} /sys/fs/cgroup; mount -t cgroup2 cgroup /sys/fs/cgroup; "
                        "cd /sys/fs/cgroup; echo +cpuset >cgroup.subtree_control; "
                        "mkdir bound; echo 1 >bound/cpuset.mems".format(CGROUP))
    ready, found = check(guest, agent, dimm)
    assert not ready and set(found) == {"last-of-node"}
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]})
    assert wait_job(agent, job, "failed")["reasons"][0]["code"] == "last-of-node"
    guest.shells.output("echo 0-1 >/sys/fs/cgroup/bound/cpuset.mems")
    ready, found = check(guest, agent, dimm)
    assert ready and set(found) == {"last-of-node"}
    guest.shells.output("rmdir /sys/fs/cgroup/bound; umount /sys/fs/cgroup")


def test_free_huge_pages_that_would_be_lost(guest, agent, dimm):
    guest.shells.output("echo 300 >%s" % POOL)
    in_dimm = pool_in_dimm(guest)
    assert in_dimm > 0
    ready, found = check(guest, agent, dimm)
    assert ready and set(found) == {"last-of-node", "hugepages-lost"}
    # An estimate: of a block only as many pages are looked at as there is time for.
    assert found["hugepages-lost"]["bytes"] == pytest.approx(in_dimm * 2 * MIB, rel=0.15)


def test_reserved_huge_pages_refuse(guest, agent, dimm):
    guest.shells.output("echo 300 >%s" % POOL)
    total = int(guest.shells.output("cat %s" % POOL))
    assert pool_in_dimm(guest) > 0
    hog = guest.shell_start("hugehog -r")
    hog.wait_output("ready %d" % total)
    ready, found = check(guest, agent, dimm)
    hog.kill()
    hog.wait()
    assert not ready and set(found) == {"last-of-node", "hugepages"}
    assert " %d huge pages are reserved" % total in found["hugepages"]["desc"]
    wait_until(lambda: re.search(r"HugePages_Rsvd: +0$", guest.shells.output("cat /proc/meminfo"),
                                 re.M), "the reservation to end")
    assert check(guest, agent, dimm)[0]


def test_a_plan_of_one_node_and_of_the_node_without_cpus_first(guest, agent, dimm):
    other = guest.plug_dimm("other", node=0)
    guest.wait_states("other", "online", "Movable")
    of_node = {node: agent.call("memory-plan-unplug", bytes=GIB, node=node) for node in (0, 1, 7)}
    slots = {0: "slot%d" % other["slot"], 1: "slot%d" % guest.dimm(dimm)["slot"]}
    assert {node: plan["devices"] for node, plan in of_node.items()} == {
        0: [slots[0]], 1: [slots[1]], 7: []}
    # The DIMM of node 1 is the fuller one, and no CPU is beside it.
    guest.shells.output("mkdir -p /run/full; mount -t tmpfs -o size=400m,mpol=bind:1 none /run/full;"
                        " dd if=/dev/zero of=/run/full/file bs=1M count=300 2>/dev/null")
    assert agent.call("memory-plan-unplug", bytes=GIB)["devices"] == [slots[1]]
    guest.shells.output("umount /run/full")
    job = prepare(agent, {"slot": other["slot"]})
    wait_job(agent, job, "ready")
    guest.wait_deleted("other", guest.device_del("other"))
    wait_job(agent, job, "unplugged")

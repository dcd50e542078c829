"""memplugctl --libvirt: libvirt itself has the guest, its monitor and the one agent's port."""
import pytest

from guest import GIB, MIB, wait_until
from guest.memory_domain import CTL, host, memory_guest
from guest.virsh import NAME, VirshFailed

DONE, REFUSED, NO_CONNECTION = 0, 1, 3


@pytest.fixture(scope="module")
def virsh(memplugd_image):
    """A guest of libvirtd's with DIMM slots and a virtio-mem device, whose agent is memplugd."""
    with memory_guest(memplugd_image) as started:
        yield started


def figures(report):
    """(asked, reached by libvirt, reached by the guest) in MiB."""
    return tuple(report[name] // MIB for name in ("wanted", "by-hypervisor", "by-guest"))


def test_the_verbs_of_the_agent(virsh):
    assert host(virsh, "status")[1]["guest-current"] == GIB
    status, said = virsh.program(CTL, "--libvirt", "nobody", "status")
    assert status == NO_CONNECTION and "no such guest" in said


def test_dimms_come_and_go(virsh):
    """With memplugd and no kernel parameter a detach ends with device-removed."""
    for size in ("256M", "256M", "128M", "128M"):
        assert host(virsh, "plug", size)[0] == DONE
    status, report = host(virsh, "resize", "1400M")
    assert status == DONE and figures(report) == (1400, 1408, 1408)
    assert sorted(step["bytes"] // MIB for step in report["steps"]) == [128, 256]
    assert virsh.run("dumpxml " + NAME).count("<memory model='dimm'") == 2
    status, report = host(virsh, "resize", "1G")
    assert status == DONE and figures(report) == (1024, 1024, 1024)


def test_virtio_mem_there_and_back(virsh):
    status, report = host(virsh, "resize", "2G")
    assert status == DONE and figures(report) == (2048, 2048, 2048)
    assert "<current unit='KiB'>1048576</current>" in virsh.run("dumpxml " + NAME)
    status, report = host(virsh, "resize", "1G")
    assert status == DONE and figures(report) == (1024, 1024, 1024)


def test_what_is_not_there(virsh):
    status, said = virsh.program(CTL, "--libvirt", NAME, "unplug", "ua-nothing")
    assert status == REFUSED and "has no memory device" in said
    status, said = virsh.program(CTL, "--libvirt", NAME, "unplug", "ua-vmem")
    assert status == REFUSED and "resize" in said
    status, said = virsh.program(CTL, "--libvirt", NAME, "plug", "16G")
    assert status == REFUSED and "maxmem is 8 GiB" in said


def test_a_paused_guest(virsh):
    virsh.run("suspend " + NAME)
    try:
        status, said = virsh.program(CTL, "--libvirt", NAME, "resize", "2G")
    finally:
        virsh.run("resume " + NAME)
    assert status == NO_CONNECTION, said
    wait_until(lambda: answers(virsh), "the agent to answer again")


def answers(virsh):
    """Whether libvirt and the agent are in step again."""
    try:
        return virsh.agent('{"execute": "guest-ping"}')
    except VirshFailed:
        return False

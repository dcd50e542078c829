"""What people do with libvirt's memory devices, with memplugd in the guest: DIMMs that were there from the
start, several in any order, devices that are not there, detaches past memplug, and each virtio-mem request."""
import random

import pytest

from guest import GIB, MIB, wait_until
from guest.memory_domain import host, memory_guest
from guest.virsh import NAME, VirshFailed

DIMM = """
    <memory model='dimm'>
      <target><size unit='MiB'>{size}</size><node>0</node></target>
      <alias name='{alias}'/>
    </memory>
"""
COLD = DIMM.format(size=256, alias="ua-cold0") + DIMM.format(size=128, alias="ua-cold1")
DONE, REFUSED = 0, 1


@pytest.fixture(scope="module")
def virsh(memplugd_image):
    """A guest of libvirtd's with DIMMs from the start and a virtio-mem device."""
    with memory_guest(memplugd_image, COLD, 256 + 128) as started:
        yield started


def mib(report):
    """(by libvirt, by the guest) in MiB."""
    return report["by-hypervisor"] // MIB, report["by-guest"] // MIB


def dimms(virsh):
    return virsh.run("dumpxml " + NAME).count("<memory model='dimm'")


def current_kib(virsh):
    """What the virtio-mem device holds, by libvirt."""
    xml = virsh.run("dumpxml " + NAME)
    return int(xml.split("<current unit='KiB'>")[1].split("<")[0])


def refused(virsh, command):
    """What virsh said that did not do it."""
    with pytest.raises(VirshFailed) as failure:
        virsh.run(command)
    print(command, failure.value)
    return str(failure.value)


@pytest.fixture
def bare(virsh):
    """The guest with nothing plugged, also where the first test has not run."""
    assert host(virsh, "resize", "1G")[0] == DONE and dimms(virsh) == 0
    return virsh


def request(virsh, kib):
    virsh.run("update-memory-device %s --alias ua-vmem --requested-size %dKiB --live" % (NAME, kib))


def test_dimms_from_the_start(virsh):
    """The guest has them online, as movable, and they go like others."""
    wait_until(lambda: host(virsh, "status")[1]["guest-current"] == 1408 * MIB, "the DIMMs' memory")
    status, report = host(virsh, "unplug", "ua-cold0")
    assert status == DONE and mib(report) == (1152, 1152) and dimms(virsh) == 1
    status, report = host(virsh, "resize", "1G")
    assert status == DONE and mib(report) == (1024, 1024) and dimms(virsh) == 0
    assert report["steps"][0]["device"] == "ua-cold1"


def test_several_in_any_order(bare):
    """Each is gone alone; the addresses of those in between are used again."""
    generator = random.Random(3)
    for turn in range(3):
        names = ["turn%d-%d" % (turn, number) for number in range(5)]
        for name in names:
            assert host(bare, "plug", "128M", "--id=" + name)[0] == DONE
        generator.shuffle(names)
        for taken in (names[:1], names[1:3], names[3:]):
            status, report = host(bare, "unplug", *("ua-" + name for name in taken))
            assert status == DONE
            assert {step["device"] for step in report["steps"]} == {"ua-" + name for name in taken}
        assert mib(report) == (1024, 1024) and dimms(bare) == 0


def test_what_is_not_there(bare):
    """Neither libvirt nor memplugctl takes another one for it; twice is once."""
    assert host(bare, "plug", "128M", "--id=one")[0] == DONE
    refused(bare, "detach-device-alias %s ua-nothing --live" % NAME)
    (bare.folder / "other.xml").write_text(DIMM.format(size=256, alias="ua-other"))
    refused(bare, "detach-device %s %s/other.xml --live" % (NAME, bare.folder))
    status, report = host(bare, "unplug", "ua-nothing")
    assert status == REFUSED and "it has" in report["reasons"][-1]["desc"] and dimms(bare) == 1
    status, report = host(bare, "unplug", "ua-one", "ua-nothing")
    assert status == REFUSED and not report["steps"] and dimms(bare) == 1
    assert host(bare, "unplug", "ua-one")[0] == DONE
    assert host(bare, "unplug", "ua-one")[0] == REFUSED
    refused(bare, "detach-device-alias %s ua-one --live" % NAME)
    assert mib(host(bare, "resize", "1G")[1]) == (1024, 1024)


def test_a_detach_past_memplug(bare):
    """The kernel offlines what is movable by itself, and memplugd's figures follow."""
    for name in ("first", "second"):
        assert host(bare, "plug", "256M", "--id=" + name)[0] == DONE
    for name, left in (("first", 1280), ("second", 1024)):
        bare.run("detach-device-alias %s ua-%s --live" % (NAME, name))
        wait_until(lambda left=left: dimms(bare) == (left - 1024) // 256, "libvirt to see it gone", 120, 1)
        wait_until(lambda left=left: host(bare, "status")[1]["guest-current"] == left * MIB,
                   "the guest's figure", 120, 1)


def test_virtio_mem_by_hand(bare):
    """Zero where it is zero, all of it, and back; what cannot be is refused and changes nothing."""
    for size_mib in (0, 2048, 2, 130, 0):
        request(bare, size_mib << 10)
        wait_until(lambda size_mib=size_mib: current_kib(bare) == size_mib << 10, "libvirt's figure", 200, 1)
        wait_until(lambda size_mib=size_mib: host(bare, "status")[1]["guest-current"]
                   == GIB + size_mib * MIB, "the guest's figure", 120, 1)
        command = "update-memory-device %s --alias ua-vmem --live --requested-size " % NAME
        for wrong in ("3GiB", "3MiB", "2050MiB"):
            assert "requested size must be" in refused(bare, command + wrong)
        assert current_kib(bare) == size_mib << 10


def test_virtio_mem_by_resize(bare):
    """Never below, and less than its block above; more than it has is done by DIMMs."""
    for wanted, reached in (("1025M", 1026), ("3071M", 3072), ("3073M", 3200), ("1537M", 1538)):
        status, report = host(bare, "resize", wanted)
        assert status == DONE and mib(report) == (reached, reached)
    status, report = host(bare, "resize", "1G")
    assert status == DONE and mib(report) == (1024, 1024)
    assert dimms(bare) == 0 and current_kib(bare) == 0


@pytest.mark.parametrize("size_mib", [0, 512])
def test_virtio_mem_is_not_detached(bare, size_mib):
    """Empty or not: QEMU 7.2 does not do it. It stays what it was, and can be resized."""
    assert host(bare, "resize", "%dM" % (1024 + size_mib))[0] == DONE
    refused(bare, "detach-device-alias %s ua-vmem --live" % NAME)
    status, report = host(bare, "unplug", "ua-vmem")
    assert status == REFUSED and "resize" in report["reasons"][-1]["desc"]
    assert current_kib(bare) == size_mib << 10
    status, report = host(bare, "resize", "1G")
    assert status == DONE and mib(report) == (1024, 1024)

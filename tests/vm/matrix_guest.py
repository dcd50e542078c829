"""One guest of the matrix: a Debian's own system, with the package that was built for it. See check-matrix.

The tests run in their order and are the cells of one line; each leaves what the next begins with.
"""
import os
import subprocess

import pytest

from guest import GIB, MIB
from guest.jobs import codes, prepare, query, wait_job
from guest.systemd_guest import SystemdGuest, SystemdImage
from guest.waiting import wait_until

NAME = os.environ["MATRIX_GUEST"]
VIRTIO_MEM = ["-object", "memory-backend-ram,id=vmem-ram,size=2G",
              "-device", "virtio-mem-pci,id=vmem,memdev=vmem-ram,requested-size=0"]
BOOT_DIMM = ["-object", "memory-backend-ram,id=cold-ram,size=1G",
             "-device", "pc-dimm,id=cold,memdev=cold-ram"]
# A line each, of a page that the kernel could not move.
DUMPS = "journalctl -k -b --no-pager | grep -c 'page dumped because' || true"
DUMPS_MAX = 20
DPKG_S = 600
FOUND = ("journalctl -b --no-pager -o cat -p warning -u memplugd; "
         "journalctl -b --no-pager -o cat | grep -i memplug | grep -i 'unknown\\|ignoring\\|fail' || true")


@pytest.fixture(scope="module")
def image():
    made = SystemdImage(name=NAME)
    made.make()
    return made


@pytest.fixture(scope="module")
def disk(image, tmp_path_factory):
    path = tmp_path_factory.mktemp("disk") / "disk"
    subprocess.run(["cp", "--sparse=always", image.disk, path], check=True)
    return path


@pytest.fixture(scope="module")
def first(image, disk):
    """The guest in which it is installed."""
    with SystemdGuest(image, disk=disk, devices=VIRTIO_MEM) as guest:
        guest.install()
        yield guest
        if guest.process.poll() is None:
            guest.power_off()


@pytest.fixture(scope="module")
def second(image, disk):
    """The same disk, booted with a DIMM."""
    with SystemdGuest(image, disk=disk, memory="2G", devices=BOOT_DIMM + ["-action", "reboot=reset"]) as guest:
        yield guest
        if guest.process.poll() is None:
            guest.power_off()


@pytest.fixture(scope="module")
def third(image, disk):
    """Booted with the argument that `boot-policy movable` sets: QEMU loads this kernel, no boot loader does."""
    with SystemdGuest(image, disk=disk, memory="2G", devices=BOOT_DIMM,
                      append="memhp_default_state=online_movable") as guest:
        yield guest


def dpkg(guest, words):
    """What dpkg says; a busy machine may take minutes for it."""
    return guest.shells.output("DEBIAN_FRONTEND=noninteractive dpkg %s 2>&1" % words, DPKG_S)


def keep(guest, what):
    """What a person would read there, for another to judge: doctor's lines are to be true."""
    said = guest.shells.output("memplugctl status | cat; echo; memplugctl doctor | cat")
    (guest.image.build / ("matrix-%s-%s.txt" % (NAME, what))).write_text(said)
    return guest.shell("memplugctl doctor")


def settle(guest):
    """Waits for the blocks that are still being moved; returns (what is stuck, the warnings about it)."""
    with guest.channel() as channel:
        def settled():
            warnings = [each for each in channel.call("memory-get-status")["warnings"]
                        if each["code"] == "kernel-zone-blocks"]
            return None if any("being moved" in each["desc"] for each in warnings) else [warnings]
        warnings, = wait_until(settled, "the blocks to be moved, or given up", 400)
    stuck = [block for dimm in ("cold", "hot") if guest.dimm(dimm)
             for block in guest.dimm_blocks(dimm).values() if block.zone != "Movable"]
    return stuck, warnings


def call(guest, command, **arguments):
    with guest.channel() as channel:
        return channel.call(command, **arguments)


def test_build(image):
    assert image.deb().exists()


def test_install(first):
    assert call(first, "guest-ping") == {}
    assert first.shells.output("systemctl is-enabled memplugd").strip() == "enabled"


def test_cycle(first):
    first.plug_dimm("dimm", GIB)
    first.wait_states("dimm", "online", "Movable")
    devices = {each["id"]: each for each in call(first, "memory-get-devices")}
    assert devices["slot0"]["online-movable"] == GIB
    with first.channel() as channel:
        job = prepare(channel, {"slot": 0})
        wait_job(channel, job, "ready")
        first.wait_deleted("dimm", first.device_del("dimm"))
        wait_job(channel, job, "unplugged")


def test_virtio_mem(first):
    for size_bytes in (GIB, 256 * MIB, 0):
        first.qmp.command("qom-set", path="/machine/peripheral/vmem", property="requested-size",
                          value=size_bytes)
        wait_until(lambda: first.dimm("vmem")["size"] == size_bytes, "virtio-mem to follow", 300)
        assert call(first, "guest-ping") == {}


def test_upgrade(first):
    first.plug_dimm("other", GIB)
    first.wait_states("other", "online", "Movable")
    with first.channel() as channel:
        job = prepare(channel, {"slot": first.dimm("other")["slot"]}, lease_ms=3600000)
        wait_job(channel, job, "ready")
    first.shells.output("cd /root; dpkg-deb -R memplug.deb new; sed -i 's/^Version: .*/&.1/' "
                        "new/DEBIAN/control; dpkg-deb -b new new.deb", DPKG_S)
    dpkg(first, "-i /root/new.deb")
    with first.channel() as channel:
        assert "agent-stopped" in codes(query(channel, job))
    first.wait_states("other", "online", "Movable")


def test_doctor(first):
    status, said = keep(first, "first")
    assert status == 0, said
    assert "BAD" not in said, said


def test_quiet(first):
    """No warning of ours, and none about us; a job that an upgrade ended is one that is meant."""
    said = [line for line in first.shells.output(FOUND).splitlines() if "job " not in line]
    first.power_off()
    assert said == []


def test_boot_dimm(second):
    """What is stuck is told, once and with the cure, and the kernel's log is not filled."""
    assert call(second, "guest-ping") == {}
    stuck, warnings = settle(second)
    keep(second, "dimm")
    assert len(warnings) == bool(stuck)
    assert all("boot-policy" in each["desc"] for each in warnings)
    assert int(second.shells.output(DUMPS)) <= DUMPS_MAX


def test_boot_dimm_movable(second):
    stuck, _ = settle(second)
    assert not stuck, "stuck: %s" % stuck


def test_reboot(second):
    """With one more DIMM, which was plugged before."""
    second.plug_dimm("hot", GIB)
    second.wait_states("hot", "online", "Movable")
    boot = second.shells.output("cat /proc/sys/kernel/random/boot_id")
    second.reboot()
    assert second.shells.output("cat /proc/sys/kernel/random/boot_id") != boot
    assert call(second, "guest-ping") == {}
    stuck, warnings = settle(second)
    assert len(warnings) == bool(stuck)
    # Of each at most the block with the pages that the kernel takes first.
    assert len(stuck) <= 2, stuck
    second.power_off()


def test_boot_policy(third):
    """The cure that is told works."""
    stuck, warnings = settle(third)
    status, said = keep(third, "cured")
    assert (stuck, warnings) == ([], [])
    assert status == 0, said


def test_purge(third):
    dpkg(third, "-r memplug")
    assert third.shell("pgrep -x memplugd")[0] != 0
    assert "not empty" not in dpkg(third, "-P memplug")
    left = third.shells.output("find /etc /usr /lib /run /var/lib/systemd -xdev -iname '*memplug*' "
                                "-not -path '/run/systemd/*' -not -path '/run/jobs/*' "
                                "-not -path '/run/udev/*'")
    assert left == ""

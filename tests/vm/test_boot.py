"""The package in a Debian guest as people have it: it answers after each boot, on each controller.

The driver of the port is a module that udev loads, perhaps before and perhaps after the daemon starts.
"""
import os
import struct
import subprocess

import pytest

from guest import GIB
from guest.channel import Channel
from guest.jobs import prepare, wait_job
from guest.machine import AGENT_PORT
from guest.systemd_guest import ENDS_BY_SIGKILL, SystemdGuest, SystemdImage
from guest.waiting import wait_until

SOAK = os.environ.get("SOAK") == "1"
BOOTS = 20 if SOAK else 2
HOT_SLOT = ["-device", "pcie-root-port,id=hot"]


@pytest.fixture(scope="module")
def installed():
    image = SystemdImage()
    image.make_installed()
    return image


def assert_answers(guest):
    """By the daemon that the boot started, not by one that a failure has started again."""
    with guest.channel() as channel:
        assert channel.call("guest-ping") == {}
    assert guest.shells.output("systemctl show -P NRestarts memplugd").strip() == "0"


def test_answers_after_each_boot(installed, tmp_path):
    """Half of the boots are the first of their disk, half the second."""
    disk = tmp_path / "disk"
    for number in range(BOOTS):
        if number % 2 == 0:
            subprocess.run(["cp", "--sparse=always", installed.installed_disk, disk], check=True)
        with SystemdGuest(installed, installed=True, disk=disk) as guest:
            # As in an ordinary guest: a module that the initrd does not have, and udev loads.
            assert guest.shell("test -e /sys/module/virtio_console/initstate")[0] == 0
            assert_answers(guest)
            guest.power_off()


@pytest.fixture(scope="module")
def guest(installed):
    with SystemdGuest(installed, installed=True, devices=HOT_SLOT) as booted:
        yield booted


UNKNOWN = [{"slot": 1000 + n} for n in range(64)]


def refuse_many(channel):
    """Jobs that fail, each with many lines for the log."""
    for _ in range(30):
        job = prepare(channel, *UNKNOWN)
        wait_job(channel, job, "failed")


def test_a_journal_that_stands_still_stops_nothing(guest):
    """Its socket fills up, and nobody empties it."""
    guest.shells.output("systemctl kill -s STOP systemd-journald")
    with guest.channel() as channel:
        refuse_many(channel)
        assert channel.call("guest-ping") == {}
    guest.shells.output("systemctl kill -s CONT systemd-journald")
    assert_answers(guest)


def test_a_frozen_root_stops_nothing(guest):
    """As a backup freezes it: journald sleeps, and a DIMM comes and goes all the same."""
    frozen = guest.shell_start("fsfreeze -f / && echo frozen && while test ! -e /run/thaw; do "
                               "sleep 1; done; fsfreeze -u / && echo thawed")
    frozen.wait_output("frozen")
    guest.add_dimm("cold", GIB)
    with guest.channel() as channel:
        refuse_many(channel)
        wait_until(lambda: channel.call("memory-get-status")["online-movable"] == GIB,
                   "the DIMM to be movable")
        job = prepare(channel, {"slot": 0})
        wait_job(channel, job, "ready")
        guest.wait_deleted("cold", guest.device_del("cold"))
        wait_job(channel, job, "unplugged")
    guest.shells.output("touch /run/thaw")
    frozen.wait_output("thawed")


def test_a_killed_daemon_is_back_beside_a_hung_eject(guest):
    """The kernel's worker, and perhaps the daemon's own, sleep behind a page that is pinned."""
    for dimm in ("pinned", "other"):
        guest.plug_dimm(dimm, GIB)
        guest.wait_states(dimm, "online", "Movable")
    pin = guest.pin(sorted(guest.dimm_blocks("pinned")))
    before = guest.shells.output("systemctl show -P MainPID memplugd")
    with guest.channel() as channel:
        job = prepare(channel, {"slot": guest.dimm("other")["slot"]}, timeout_ms=5000,
                      lease_ms=1000)
        wait_job(channel, job, "ready")
        guest.device_del("pinned")
        guest.qmp.wait_event("ACPI_DEVICE_OST", None)
        wait_job(channel, job, "rolling-back", "expired")
    guest.shells.output("systemctl kill -s KILL --kill-who=main memplugd")
    wait_until(lambda: guest.shells.output("systemctl show -P MainPID memplugd")
               not in (before, "0\n"), "the next daemon")
    with guest.channel() as channel:
        assert channel.call("guest-ping") == {}
        guest.unpin(pin)
        wait_until(lambda: {job["state"] for job in channel.call("memory-query-unplug")}
                   <= {"expired", "failed", "unplugged"}, "all jobs to end")
    guest.wait_states("other", "online", "Movable")


def test_answers_on_a_second_controller(guest):
    """Its major number is one that did not exist when the daemon started."""
    before = guest.shells.output("systemctl show -P MainPID memplugd")
    port = [device for device in guest.qmp.command("qom-list", path="/machine/peripheral-anon")
            if device["type"] == "child<virtserialport>"]
    guest.qmp.command("device_del", id="/machine/peripheral-anon/" + port[0]["name"])
    guest.qmp.command("device_add", driver="virtio-serial-pci", id="ports2", bus="hot")
    guest.add_socket("agent2")
    guest.qmp.command("device_add", driver="virtserialport", bus="ports2.0", chardev="agent2",
                      name=AGENT_PORT)
    with Channel(guest.path("agent2")) as channel:
        assert channel.call("guest-ping") == {}
    majors = guest.shells.output("grep -c virtio-portsdev /proc/devices").strip()
    assert majors == "2"
    assert guest.shells.output("systemctl show -P MainPID memplugd") == before


HALF_OF_64_GIB = 32 * GIB
ASKED = "cat /run/asked 2>/dev/null | wc -l"
# Counts who runs the daemon's program.
WRAP = ("mv /usr/sbin/memplugd /usr/sbin/memplugd.real; printf '#!/bin/sh\\n"
        "echo $1 >>/run/asked\\nexec memplugd.real \"$@\"\\n' >/usr/sbin/memplugd; "
        "chmod +x /usr/sbin/memplugd")


def test_the_rule_runs_no_program(guest):
    """Where no daemon runs, and however many blocks come at once: it was decided before."""
    guest.shells.output("systemctl stop memplugd; systemctl mask --runtime memplugd; " + WRAP)
    guest.plug_dimm("many", 4 * GIB)
    guest.wait_states("many", "online", "Movable")
    assert guest.shells.output(ASKED).strip() == "0"
    guest.shells.output("mkdir -p /etc/memplug/memplugd.conf.d; printf '[online]\\npolicy=none\\n' "
                        ">/etc/memplug/memplugd.conf.d/t.conf; memplugd --rule")
    guest.plug_dimm("left", GIB)
    guest.shells.output("udevadm settle")
    guest.wait_states("left", "offline")
    guest.shells.output("rm /etc/memplug/memplugd.conf.d/t.conf; "
                        "mv /usr/sbin/memplugd.real /usr/sbin/memplugd; "
                        "systemctl unmask --runtime memplugd; systemctl start memplugd")
    guest.wait_states("left", "online", "Movable")


def test_removal_undoes_what_a_killed_daemon_left(guest):
    guest.shells.output("mkdir -p /run/systemd/system/memplugd.service.d; printf "
                        "'%s' >/run/systemd/system/memplugd.service.d/t.conf; systemctl daemon-reload"
                        % ENDS_BY_SIGKILL)
    with Channel(guest.path("agent2")) as channel:
        job = prepare(channel, {"slot": guest.dimm("left")["slot"]}, lease_ms=3600000)
        wait_job(channel, job, "ready")
    guest.wait_states("left", "offline")
    guest.shells.output("DEBIAN_FRONTEND=noninteractive dpkg -r memplug")
    assert guest.was_killed()
    guest.wait_states("left", "online", "Movable")
    assert guest.shells.output("cat /sys/devices/system/memory/auto_online_blocks") == "offline\n"
    assert guest.shell("test -e /run/memplug/active")[0] != 0


def plug_reserved(guest, dimm, size_bytes):
    """A DIMM of which the host keeps only what the guest touches."""
    guest.qmp.command("object-add", qom_type="memory-backend-ram", id=dimm + "-ram",
                      size=size_bytes, reserve=False)
    guest.qmp.command("device_add", driver="pc-dimm", id=dimm, memdev=dimm + "-ram")


def test_64_gib_at_once_beside_a_masked_daemon(installed):
    """A boot without the daemon; 512 blocks come, and the rule brings them online without a fork."""
    with SystemdGuest(installed, installed=True, memory="3G", maxmem="128G",
                      append="systemd.mask=memplugd.service") as booted:
        assert booted.shells.output("systemctl is-active memplugd || true").strip() == "inactive"
        booted.shells.output(WRAP)
        for half in ("one", "two"):
            plug_reserved(booted, half, HALF_OF_64_GIB)
        wait_until(lambda: sum(len(booted.dimm_blocks(half)) for half in ("one", "two")) == 512,
                   "512 blocks", 600)
        for half in ("one", "two"):
            booted.wait_states(half, "online", "Movable", 600)
        assert booted.shells.output(ASKED).strip() == "0"


if not SOAK:
    del test_64_gib_at_once_beside_a_masked_daemon  # test_the_rule_runs_no_program: the same of 4 GiB


NOTE = struct.pack("<III8sI", 5, 4, 1, b"CORE", 0)
CORE_AT = 0x7f00000
CORE_BYTES = 0x10000


def core_header():
    """What a crash dump kernel finds in memory: an ELF core with one note and one range of memory."""
    header_bytes, entry_bytes = 64, 56
    note_at = CORE_AT + header_bytes + 2 * entry_bytes
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 4, 62, 1, 0, header_bytes, 0,
                         0, header_bytes, entry_bytes, 2, 0, 0, 0)
    note = struct.pack("<IIQQQQQQ", 4, 0, note_at, 0, 0, len(NOTE), len(NOTE), 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, CORE_AT, 0, CORE_AT, 4096, 4096, 0)
    return header + note + load + NOTE


def test_nothing_runs_in_a_crash_dump_kernel(installed, tmp_path):
    core = tmp_path / "core"
    core.write_bytes(core_header())
    with SystemdGuest(installed, installed=True, append="elfcorehdr=%#x memmap=%#x$%#x" % (
            CORE_AT, CORE_BYTES, CORE_AT), devices=[
                "-device", "loader,file=%s,addr=%#x,force-raw=on" % (core, CORE_AT)]) as booted:
        assert booted.shell("test -e /proc/vmcore")[0] == 0, booted.shell("dmesg | grep -i kdump")
        booted.plug_dimm("dimm", GIB)
        booted.shells.output("udevadm trigger --action=add --subsystem-match=virtio-ports; "
                             "udevadm settle; systemctl start memplugd memplug-rule")
        for unit in ("memplugd", "memplug-rule"):
            said = booted.shells.output("systemctl show -p ConditionResult,ActiveState " + unit)
            assert sorted(said.split()) == ["ActiveState=inactive", "ConditionResult=no"]
        # Not by the rule alone either.
        booted.shells.output("mkdir -p /run/memplug; touch /run/memplug/rule-online; "
                             "udevadm trigger --action=add --subsystem-match=memory; "
                             "udevadm settle")
        booted.wait_states("dimm", "offline")


# As ndctl and daxctl do it: persistent memory becomes a dax device, and that becomes memory.
MAKE_DAX = """
modprobe -a nd_pmem dax_pmem device_dax kmem
cd /sys/bus/nd/devices
echo namespace0.0 >/sys/bus/nd/drivers/nd_pmem/unbind
dax=$(cat region0/dax_seed)
echo 2097152 >$dax/align
cat /proc/sys/kernel/random/uuid >$dax/uuid
echo ram >$dax/mode
echo namespace0.0 >$dax/namespace
echo $dax >/sys/bus/nd/drivers/dax_pmem/bind
ls /sys/bus/dax/devices
"""
DAX_TO_MEMORY = """
dax=$(ls /sys/bus/dax/devices)
echo $dax >/sys/bus/dax/drivers/device_dax/unbind
echo $dax >/sys/bus/dax/drivers/kmem/new_id
grep kmem /proc/iomem
"""
AUTO_ONLINE = "cat /sys/devices/system/memory/auto_online_blocks"


def test_memory_of_a_dax_device_is_left_alone(installed):
    """By the kernel, whose settings are put back as it appears, by the daemon, and by the rule."""
    with SystemdGuest(installed, installed=True, memory="3G", append="memmap=1G!4G") as booted:
        wait_until(lambda: booted.shells.output(AUTO_ONLINE) == "online_movable\n",
                   "the kernel's settings")
        booted.shells.output(MAKE_DAX)
        wait_until(lambda: booted.shells.output(AUTO_ONLINE) == "offline\n",
                   "the settings to be put back")
        before = set(booted.blocks())
        print(booted.shells.output(DAX_TO_MEMORY))
        theirs = set(booted.blocks()) - before
        assert theirs
        # DIMMs come online all the same.
        booted.plug_dimm("dimm", GIB)
        booted.wait_states("dimm", "online", "Movable")
        with booted.channel() as channel:
            kinds = [device["kind"] for device in channel.call("memory-get-devices")]
            assert sorted(kinds) == ["boot", "dimm", "other"]
        # The rule alone, with the kernel's own event once more.
        booted.shells.output("systemctl stop memplugd; test -e /run/memplug/rule-online; "
                             "udevadm trigger --action=add --subsystem-match=memory; "
                             "udevadm settle")
        blocks = booted.blocks()
        assert {blocks[index].state for index in theirs} == {"offline"}

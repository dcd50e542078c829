"""The package in a Debian guest as people have it: it answers after each boot, on each controller.

The driver of the port is a module that udev loads, perhaps before and perhaps after the daemon starts.
"""
import os
import subprocess

import pytest

from guest import GIB
from guest.channel import Channel
from guest.jobs import prepare, wait_job
from guest.machine import AGENT_PORT
from guest.systemd_guest import SystemdGuest, SystemdImage
from guest.waiting import wait_until

BOOTS = 20 if os.environ.get("SOAK") == "1" else 2
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


ASKED = "wc -l </run/asked 2>/dev/null || echo 0"
# Counts who asks the daemon's program.
WRAP = ("mv /usr/sbin/memplugd /usr/sbin/memplugd.real; printf '#!/bin/sh\\n"
        "echo $1 >>/run/asked\\nexec memplugd.real \"$@\"\\n' >/usr/sbin/memplugd; "
        "chmod +x /usr/sbin/memplugd")


def test_the_rule_asks_once_where_no_daemon_runs(guest):
    """Once for the blocks that come while the first is asked about, and never again."""
    guest.shells.output("systemctl stop memplugd; systemctl mask --runtime memplugd; " + WRAP)
    guest.plug_dimm("many", 4 * GIB)
    guest.wait_states("many", "online", "Movable")
    asked = int(guest.shells.output(ASKED))
    assert 1 <= asked < len(guest.dimm_blocks("many"))
    guest.plug_dimm("more", GIB)
    guest.wait_states("more", "online", "Movable")
    assert int(guest.shells.output(ASKED)) == asked
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
                        "'[Service]\\nTimeoutStopSec=2\\n' "
                        ">/run/systemd/system/memplugd.service.d/t.conf; systemctl daemon-reload")
    with Channel(guest.path("agent2")) as channel:
        job = prepare(channel, {"slot": guest.dimm("left")["slot"]}, lease_ms=3600000)
        wait_job(channel, job, "ready")
    guest.wait_states("left", "offline")
    guest.shells.output("systemctl kill -s STOP memplugd; DEBIAN_FRONTEND=noninteractive "
                        "dpkg -r memplug")
    guest.wait_states("left", "online", "Movable")
    assert guest.shells.output("cat /sys/devices/system/memory/auto_online_blocks") == "offline\n"
    assert guest.shell("test -e /run/memplug/active")[0] != 0

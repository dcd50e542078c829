"""The package in a Debian guest while what it stands on gives way: its settings, its processes, its
state directory, its disk, and the one who stops it.

The tests run in their order. Each one mends what it broke, and the last two remove the package.
"""
import errno

import pytest

from guest import MIB
from guest.jobs import codes, prepare, query, reasons, wait_job
from guest.systemd_guest import ENDS_BY_SIGKILL, SystemdGuest, SystemdImage
from guest.waiting import wait_until

DISK_BYTES = 512 * MIB
CONFIG = "/etc/memplug/memplugd.conf.d/t.conf"
STATE = "/run/memplug"
HUPS = 200


@pytest.fixture(scope="module")
def guest(tmp_path_factory):
    disk = tmp_path_factory.mktemp("disk") / "slow"
    with open(disk, "wb") as file:
        file.truncate(DISK_BYTES)
    image = SystemdImage()
    image.make_installed()
    with SystemdGuest(image, installed=True, memory="2G", devices=[
            "-drive", "if=virtio,id=slow,format=raw,file=%s" % disk]) as booted:
        booted.plug_dimm("dimm", 512 * MIB)
        booted.wait_states("dimm", "online", "Movable")
        yield booted


def show(guest, *properties):
    """What systemd says of the unit."""
    said = guest.shells.output("systemctl show -p %s memplugd" % ",".join(properties))
    found = dict(line.split("=", 1) for line in said.splitlines())
    return [found[name] for name in properties]


def log_of(guest, since="-b"):
    return guest.shells.output("journalctl --no-pager -o cat -u memplugd " + since)


def cursor(guest):
    """Where the unit's log ends now, as log_of() takes it."""
    said = guest.shells.output("journalctl --no-pager -n 0 --show-cursor | tail -n 1")
    return "--after-cursor='%s'" % said.partition("cursor: ")[2].strip()


def configure(guest, text):
    guest.shells.output("mkdir -p %s; printf '%s' >%s"
                        % (CONFIG.rpartition("/")[0], text.replace("\n", "\\n"), CONFIG))


def slot(guest, dimm="dimm"):
    return {"slot": guest.dimm(dimm)["slot"]}


def test_a_mistake_in_the_settings_fails_once(guest):
    configure(guest, "[online]\npolicy=sideways\n")
    since = cursor(guest)
    status, _ = guest.shell("systemctl restart memplugd")
    assert status != 0
    assert show(guest, "ActiveState", "Result", "NRestarts") == ["failed", "exit-code", "0"]
    guest.shells.output("sleep 5")  # longer than RestartSec=
    assert show(guest, "ActiveState", "NRestarts") == ["failed", "0"]
    said = log_of(guest, since)
    assert said.count("[online] policy: 'sideways' is not movable, kernel, auto or none") == 1
    assert CONFIG in said
    guest.shells.output("rm %s; systemctl restart memplugd" % CONFIG)
    with guest.channel() as channel:
        assert channel.call("guest-ping") == {}


def test_no_process_through_the_unit(guest):
    guest.shells.output("systemctl set-property --runtime memplugd TasksMax=1")
    with guest.channel() as channel:
        record = wait_job(channel, prepare(channel, slot(guest), timeout_ms=3000), "failed")
        reason, = [found for found in reasons(record) if found["code"] == "error"]
        assert reason["errno"] == errno.EAGAIN and "TasksMax" in reason["desc"]
        assert not [found for found in reasons(record) if "pinned" in found["desc"]]
        guest.shells.output("systemctl set-property --runtime memplugd TasksMax=128")
        job = prepare(channel, slot(guest))
        wait_job(channel, job, "ready")
        channel.call("memory-cancel-unplug", job=job)
        wait_job(channel, job, "cancelled")
    guest.wait_states("dimm", "online", "Movable")


def test_a_full_run(guest):
    """What is prepared by then is given back; nothing new is begun; and it is said once."""
    with guest.channel() as channel:
        held = prepare(channel, slot(guest))
        wait_job(channel, held, "ready")
        since = cursor(guest)
        guest.shells.output("dd if=/dev/zero of=/run/fill bs=4k 2>/dev/null; test -s /run/fill")
        channel.call("memory-cancel-unplug", job=held)
        wait_job(channel, held, "cancelled")
        guest.wait_states("dimm", "online", "Movable")
        for _ in range(5):
            record = wait_job(channel, prepare(channel, slot(guest)), "failed")
            reason, = reasons(record)
            assert reason["errno"] == errno.ENOSPC, reason
            assert "no block was taken offline" in reason["desc"]
        assert channel.call("guest-ping") == {}
        said = log_of(guest, since)
        assert said.count("cannot write the journal") == 1, said
        guest.shells.output("rm /run/fill")
        job = prepare(channel, slot(guest))
        wait_job(channel, job, "ready")
        assert job > record["job"]
    # What is ready outlives a crash again.
    guest.shells.output("systemctl kill -s KILL --kill-who=main memplugd")
    with guest.channel() as channel:
        assert query(channel, job)["state"] == "ready"
        channel.call("memory-cancel-unplug", job=job)
        wait_job(channel, job, "cancelled")
    guest.wait_states("dimm", "online", "Movable")


def test_a_storm_of_reloads(guest):
    before = show(guest, "MainPID", "NRestarts")
    storm = guest.shell_start("for i in $(seq %d); do kill -HUP %s; sleep 0.02; done; echo over"
                              % (HUPS, before[0]))
    with guest.channel() as channel:
        for _ in range(3):
            job = prepare(channel, slot(guest))
            wait_job(channel, job, "ready")
            channel.call("memory-cancel-unplug", job=job)
            wait_job(channel, job, "cancelled")
        storm.wait_output("over")
        assert channel.call("guest-ping") == {}
    assert show(guest, "MainPID", "NRestarts") == before
    wait_until(lambda: show(guest, "ActiveState") == ["active"], "the last reload to be over")
    guest.wait_states("dimm", "online", "Movable")


def throttle_writes(guest, bytes_per_s):
    guest.qmp.command("human-monitor-command", **{
        "command-line": "block_set_io_throttle slow 0 0 %d 0 0 0" % bytes_per_s})


def test_a_stalled_disk_below_the_page_cache(guest):
    """The kernel sleeps over pages of a file that are being written, and no signal wakes it."""
    guest.shells.output("mkfs.ext4 -q /dev/vdc; mkdir -p /mnt/slow; mount /dev/vdc /mnt/slow; "
                        "echo 90 >/proc/sys/vm/dirty_ratio; "
                        "echo 1 >/proc/sys/vm/dirty_background_ratio; "
                        "dd if=/dev/zero of=/mnt/slow/file bs=1M count=300 2>&1; sync")
    throttle_writes(guest, 1)
    # Where there are blocks for it already: only the data has to be written.
    writer = guest.shell_start("dd if=/dev/zero of=/mnt/slow/file bs=1M count=300 conv=notrunc; "
                               "echo written")
    wait_until(lambda: guest.meminfo()["Writeback"] > MIB, "pages to be written")
    with guest.channel() as channel:
        job = prepare(channel, slot(guest), timeout_ms=10000)

        def look():
            record = query(channel, job)
            return record if record["state"] not in ("queued", "checking", "offlining") else None

        record = wait_until(look, "the job to leave offlining")
        print(record)
        assert record["state"] in ("rolling-back", "failed")
        assert record["elapsed-ms"] < 40000  # not hours, as the disk would have it
        assert wait_until(lambda: codes(query(channel, job)), "a reason")
        assert channel.call("memory-get-status")["warnings"] is not None
        throttle_writes(guest, 0)
        wait_job(channel, job, "failed")
    guest.wait_states("dimm", "online", "Movable")
    writer.wait_output("written")
    guest.shells.output("umount /mnt/slow")


SETTINGS = ("devices/system/memory/auto_online_blocks", "module/memory_hotplug/parameters/online_policy",
            "module/memory_hotplug/parameters/auto_movable_ratio",
            "firmware/acpi/hotplug/memory/enabled")
BEFORE = ["online_kernel", "contig-zones", "250", "1"]


def settings_of_the_kernel(guest):
    return guest.shells.output("cd /sys; cat " + " ".join(SETTINGS)).split()


def start_with_everything_changed(guest):
    """The daemon runs, and no setting of the kernel's is as it was."""
    guest.shells.output("systemctl stop memplugd; cd /sys; %s" % "; ".join(
        "echo %s >%s" % pair for pair in zip(BEFORE, SETTINGS)))
    configure(guest, "[online]\npolicy=auto\n[unplug]\ngate=yes\n")
    guest.shells.output("mkdir -p /run/systemd/system/memplugd.service.d; printf "
                        "'%s' >/run/systemd/system/memplugd.service.d/t.conf; systemctl daemon-reload; "
                        "systemctl start memplugd" % ENDS_BY_SIGKILL)
    wait_until(lambda: settings_of_the_kernel(guest) == ["online", "auto-movable", "301", "0"],
               "the daemon's settings")


def dpkg(guest, *words):
    guest.shells.output("DEBIAN_FRONTEND=noninteractive dpkg " + " ".join(words))


def test_removed_after_a_stop_that_was_killed(guest):
    start_with_everything_changed(guest)
    with guest.channel() as channel:
        job = prepare(channel, slot(guest), lease_ms=3600000)
        wait_job(channel, job, "ready")
    guest.wait_states("dimm", "offline")
    dpkg(guest, "-r", "memplug")
    assert guest.was_killed()
    assert settings_of_the_kernel(guest) == BEFORE
    guest.wait_states("dimm", "online", "Movable")
    assert guest.shell("test -e %s/active || pgrep memplugd" % STATE)[0] != 0


def test_purged_after_a_stop_that_was_killed(guest):
    """Nothing is prepared, so there is nothing to wait for but the settings themselves."""
    dpkg(guest, "-i", "/root/memplug.deb")
    start_with_everything_changed(guest)
    guest.shells.output("rm -f " + CONFIG)
    dpkg(guest, "-P", "memplug")
    assert settings_of_the_kernel(guest) == BEFORE
    guest.wait_states("dimm", "online", "Movable")
    assert guest.shell("ls -d %s /etc/memplug" % STATE)[0] != 0

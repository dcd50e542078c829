"""The one guard of every offlining: what ends an attempt, what does not, and what is said of it."""
import errno
import re
import subprocess

import pytest

from guest import MIB, wait_until
from guest import daemon
from guest.jobs import codes, prepare, query, reasons, wait_job

# RAM above 4 GiB, and so a Normal zone of its own: what the kernel cannot move does not go into a
# block that is online there for a moment.
GUEST = {"memory": "3G"}
DISK_BYTES = 256 * MIB
CONFIG = "/etc/memplug/memplugd.conf.d/guard.conf"


@pytest.fixture
def small(guest):
    """QEMU's id of a DIMM of two blocks, in Movable, which is taken away afterwards."""
    guest.plug_dimm("small", 256 * MIB)
    guest.wait_states("small", "online", "Movable")
    yield "small"
    mark = guest.device_del("small") if guest.dimm("small") else 0
    guest.wait_deleted("small", mark)


def pgmigrate(guest):
    return int(re.search(r"^pgmigrate_success (\d+)$",
                         guest.shells.output("cat /proc/vmstat"), re.M)[1])


def fill(guest, mib, options=""):
    hog = guest.shell_start("hog %s %d" % (options, mib))
    hog.wait_output("ready")
    return hog


def release(hog):
    hog.kill()
    hog.wait()


def test_a_slow_guest_gets_there(guest, agent, small):
    """At a fifteenth of its speed a full block needs longer than an attempt without progress may
    last, and no page is moved twice."""
    hog = fill(guest, 220)
    before = pgmigrate(guest)
    with guest.slowed(1 / 15):
        job = prepare(agent, {"slot": guest.dimm(small)["slot"]}, timeout_ms=500000)
        record = wait_job(agent, job, "ready", timeout=500)
    assert record["reasons"] == []
    moved = pgmigrate(guest) - before
    assert 200 * MIB < moved * 4096 < 1.1 * 256 * MIB
    release(hog)


def set_reserve(guest, agent, size_bytes):
    """[unplug] reserve-bytes, 0 for the default, in force from now on."""
    guest.shells.output("mkdir -p %s; printf '[unplug]\\nreserve-bytes=%d\\n' >%s"
                        % (CONFIG.rpartition("/")[0], size_bytes, CONFIG))
    loaded = daemon.log(guest).count("settings loaded anew")
    guest.shells.output("kill -HUP $(cat /run/memplugd.pid)")
    wait_until(lambda: daemon.log(guest).count("settings loaded anew") > loaded,
               "the settings to be loaded")
    agent.call("guest-ping")


def set_offline(agent, index):
    return agent.call("guest-set-memory-blocks",
                      **{"mem-blks": [{"phys-index": index, "online": False}]})[0]


def test_the_reserve_binds_every_offlining(guest, agent, small):
    index = max(guest.dimm_blocks(small))
    too_much = guest.meminfo()["MemAvailable"] - 64 * MIB
    set_reserve(guest, agent, too_much)

    assert set_offline(agent, index) == {"phys-index": index, "response": "operation-failed",
                                         "error-code": errno.ENOMEM}
    assert guest.blocks()[index].state == "online"

    # By hand to a kernel zone, from which memplugd would take it at once.
    log = len(daemon.log(guest))
    assert guest.set_block(index, "offline")[0] == 0
    assert guest.set_block(index, "online_kernel")[0] == 0
    wait_until(lambda: "block %d stays in the wrong zone" % index in daemon.log(guest)[log:],
               "the block to be given up", 300)
    assert "leave the reserve" in daemon.log(guest)[log:]
    assert guest.blocks()[index].zone == "Normal"

    assert guest.set_block(index, "offline")[0] == 0
    assert guest.set_block(index, "online_movable")[0] == 0
    set_reserve(guest, agent, 0)
    assert set_offline(agent, index)["response"] == "success"
    guest.set_block(index, "online_movable")


@pytest.fixture
def no_processes(guest):
    """A function that lets memplugd start processes, or not, as TasksMax= of its unit does."""
    guest.shells.output(
        "mkdir -p /run/cgroup; mountpoint -q /run/cgroup || mount -t cgroup2 none /run/cgroup; "
        "echo +pids >/run/cgroup/cgroup.subtree_control; mkdir -p /run/cgroup/memplugd; "
        "cat /run/memplugd.pid >/run/cgroup/memplugd/cgroup.procs")

    def limit(is_limited):
        guest.shells.output("echo %s >/run/cgroup/memplugd/pids.max"
                            % ("1" if is_limited else "max"))

    yield limit
    limit(False)


def test_no_process_is_told_as_that(guest, agent, small, no_processes):
    slot = {"slot": guest.dimm(small)["slot"]}
    no_processes(True)
    record = wait_job(agent, prepare(agent, slot, timeout_ms=3000), "failed")
    assert codes(record) == {"timeout", "error"}
    reason, = [reason for reason in reasons(record) if reason["code"] == "error"]
    assert reason["errno"] == errno.EAGAIN
    assert "no process could be started" in reason["desc"]

    no_processes(False)
    job = prepare(agent, slot)
    wait_job(agent, job, "ready")
    no_processes(True)
    agent.call("memory-cancel-unplug", job=job)
    record = wait_until(lambda: codes(query(agent, job)) and query(agent, job), "a reason to stand")
    assert record["state"] == "rolling-back"
    assert "no process can be started" in reasons(record)[0]["desc"]
    no_processes(False)
    wait_job(agent, job, "cancelled")
    guest.wait_states(small, "online", "Movable")


def throttle(guest, bytes_per_s):
    # By HMP: the names of QMP's arguments have both kinds of dashes in them.
    guest.qmp.command("human-monitor-command", **{
        "command-line": "block_set_io_throttle disk %d 0 0 0 0 0" % bytes_per_s})


def disk_device(path):
    with open(path, "wb") as file:
        file.truncate(DISK_BYTES)
    return ["-drive", "if=none,id=disk,format=raw,file=%s" % path,
            "-device", "virtio-blk-pci,drive=disk"]


def test_a_stalled_disk_is_told_as_that(boot, tmp_path):
    """Pages on their way to a swap disk that stands still: the kernel sleeps in their migration."""
    guest = boot(devices=disk_device(tmp_path / "swap"))
    with guest.channel() as agent:
        guest.plug_dimm("small", 256 * MIB)
        guest.wait_states("small", "online", "Movable")
        guest.shells.output("mkswap /dev/vda && swapon /dev/vda")
        throttle(guest, 1)
        hog = fill(guest, 200, "-o")
        wait_until(lambda: guest.meminfo()["Writeback"] > MIB, "pages to be written")
        job = prepare(agent, {"slot": guest.dimm("small")["slot"]}, timeout_ms=20000)
        wait_until(lambda: query(agent, job)["elapsed-ms"] > 21000, "the deadline to pass")
        throttle(guest, 0)
        record = wait_job(agent, job, "failed", "ready")
        print(record)
        told = [reason for reason in reasons(record) if reason["code"] == "busy-pages"]
        assert told and all("errno" not in reason for reason in told)
        assert "no page moved for 5 s" in told[0]["desc"]
        assert "disk" in told[0]["desc"]
        release(hog)


def test_pages_that_a_disk_does_not_take(boot, tmp_path):
    """Page cache on its way to a file on a disk that stands still. Dirty pages alone would move."""
    devices = disk_device(tmp_path / "files")
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", tmp_path / "files"], check=True)
    guest = boot(devices=devices)
    guest.plug_dimm("small", 256 * MIB)
    guest.wait_states("small", "online", "Movable")
    # Written a second time, so that the file system has nothing to look up on the disk.
    guest.shells.output("mkdir /files && mount -t ext4 /dev/vda /files && cd /proc/sys/vm && "
                        "echo 90 >dirty_ratio && echo 80 >dirty_background_ratio && "
                        "echo 0 >dirty_writeback_centisecs && for round in 1 2; do "
                        "dd if=/dev/zero of=/files/x bs=1M count=180 conv=notrunc 2>/dev/null; "
                        "[ $round = 2 ] || sync; done")
    throttle(guest, 1)
    sync = guest.shell_start("sync")
    wait_until(lambda: guest.meminfo()["Writeback"] > MIB, "pages to be written")
    with guest.channel() as agent:
        job = prepare(agent, {"slot": guest.dimm("small")["slot"]}, timeout_ms=20000)
        wait_until(lambda: query(agent, job)["state"] == "rolling-back", "the deadline to pass")
        told = wait_until(lambda: reasons(query(agent, job)), "a reason to stand")
        reason, = [each for each in told if each["code"] == "dirty-pages"]
        assert "not written yet" in reason["desc"] and "being written" in reason["desc"], reason
        throttle(guest, 0)
        sync.wait()
        wait_job(agent, job, "failed", "ready")
        if query(agent, job)["state"] == "ready":
            agent.call("memory-cancel-unplug", job=job)
        guest.wait_states("small", "online", "Movable")

"""Memory that a guest lacks: caches reclaimed before a prepare, and MEMORY_PRESSURE."""
import os
import tempfile

import pytest

import figures
from conftest import take_away
from guest.jobs import codes, prepare, wait_job
from guest.memory import MIB
from guest.waiting import wait_until

SOAK = os.environ.get("SOAK") == "1"
DISK_MIB = 1024
DISK = tempfile.NamedTemporaryFile(prefix="memplug-swap.")
DISK.truncate(DISK_MIB * MIB)
GUEST = {"memory": "512M", "append": "psi=1",
         "devices": ["-drive", "if=none,id=swap,format=raw,file=" + DISK.name,
                     "-device", "virtio-blk-pci,drive=swap"]}
TRIGGER = {"stall-ms": 100, "window-ms": 1000}
QUIET_S = 60 if SOAK else 15


@pytest.fixture
def small(guest, agent):
    """A DIMM of 256 MiB, which a guest of this size can do without."""
    guest.plug_dimm("small", 256 * MIB)
    guest.wait_states("small", "online", "Movable")
    return {"slot": guest.dimm("small")["slot"]}


def available(guest):
    return guest.meminfo()["MemAvailable"]


def test_caches_are_reclaimed_before_a_prepare(guest, agent, small):
    """What the kernel holds back of the page cache is what is lacking: without reclaim it refuses."""
    guest.shells.output("echo %d >/proc/sys/vm/min_free_kbytes; sync; "
                        "echo 3 >/proc/sys/vm/drop_caches" % (48 << 10))
    dropped = available(guest)
    check = agent.call("memory-check-unplug", devices=[small])
    wanted = check["needed-bytes"] + check["reserve-bytes"]
    hog = guest.shell_start("hog -u %d" % ((dropped - wanted) // MIB - 24))
    hog.wait_output("ready")
    held_open = guest.shell_start("sleep 100000 </dev/vda")  # the last to close it drops its pages
    guest.shells.output("dd if=/dev/vda of=/dev/null bs=1M count=160 2>/dev/null")
    held = available(guest)
    figures.record("reclaim", available_mib=held // MIB, wanted_mib=wanted // MIB)
    assert held < wanted, (held, wanted, dropped)
    record = wait_job(agent, prepare(agent, small), "failed")
    assert codes(record) == {"low-memory"}
    record = wait_job(agent, prepare(agent, small, reclaim=True), "ready")
    assert guest.oom_kills() == 0 and hog.status() is None
    agent.call("memory-cancel-unplug", job=record["job"])
    wait_job(agent, record["job"], "cancelled")
    for job in (hog, held_open):
        job.kill()
        job.wait()
    guest.shells.output("echo 4096 >/proc/sys/vm/min_free_kbytes")
    agent.close()
    take_away(guest, "small")


@pytest.fixture
def swap(guest):
    """So that a guest which lacks memory waits for it, and kills nothing."""
    guest.shells.output("mkswap /dev/vda >/dev/null; swapon /dev/vda")
    yield
    guest.shells.output("swapoff /dev/vda")


def voluntary_switches(guest):
    return int(guest.shells.output("grep ^voluntary /proc/$(pidof memplugd)/status").split()[1])


def test_the_guest_asks_for_memory(guest, agent, swap):
    """Nothing wakes the daemon without pressure; with it there is an event, once a second at most."""
    agent.call("memory-set-events", enabled=True, pressure=TRIGGER)
    status = agent.call("memory-get-status")
    agent.call("memory-set-target", bytes=status["guest-current"] + 256 * MIB)
    guest.shells.output("sleep 2")
    before = voluntary_switches(guest)
    guest.shells.output("sleep %d" % QUIET_S)
    wakeups = voluntary_switches(guest) - before
    figures.record("pressure-idle", seconds=QUIET_S, wakeups=wakeups)
    assert wakeups == 0 and agent.events == []
    hog = guest.shell_start("hog -r %d" % ((status["available"] // MIB) + 100))
    wait_until(lambda: agent.call("guest-ping") == {} and len(agent.events) >= 3, "events")
    hog.kill()
    hog.wait()
    assert {event["event"] for event in agent.events} == {"MEMORY_PRESSURE"}
    data, = [event["data"] for event in agent.events[-1:]]
    assert data["below-target"] == 256 * MIB and data["available"] < status["available"]
    times = [event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6
             for event in agent.events]
    figures.record("pressure-events", events=len(times),
                   closest_ms=min(round(1000 * (b - a)) for a, b in zip(times, times[1:])))
    assert any(event["data"]["some-avg10"] > 0 for event in agent.events)
    # No trigger outlives what it was for.
    for arguments in ({"enabled": True}, {"enabled": False}):
        agent.call("memory-set-events", **arguments)
        assert guest.shells.output("ls -l /proc/$(pidof memplugd)/fd").count("pressure") == 0

"""Memory that a guest lacks: caches reclaimed before a prepare, MEMORY_PRESSURE, and the example that
follows it."""
import os
import subprocess
import tempfile
import threading

import pytest

import figures
from conftest import take_away
from guest import Archive
from guest.image import ROOT
from guest.jobs import codes, prepare, wait_job
from guest.memory import MIB
from guest.waiting import wait_until

SOAK = os.environ.get("SOAK") == "1"
DISK_MIB = 1024
DISK = tempfile.NamedTemporaryFile(prefix="memplug-swap.")
DISK.truncate(DISK_MIB * MIB)
FOLDER = tempfile.mkdtemp(prefix="memplug-autoscale.")
# A guest under pressure has nothing free in its kernel zones: by default the DIMM would go there.
CONFIG = Archive()
CONFIG.file("etc/memplug/memplugd.conf.d/50-test.conf", "[online]\nkernel-floor-bytes=1048576\n")
GUEST = {"overlays": [CONFIG], "memory": "512M", "append": "psi=1",
         "devices": ["-drive", "if=none,id=swap,format=raw,file=" + DISK.name,
                     "-device", "virtio-blk-pci,drive=swap",
                     "-chardev", "socket,id=qmp2,path=%s/qmp.sock,server=on,wait=off" % FOLDER,
                     "-mon", "chardev=qmp2,mode=control"]}
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
    # A high min_free_kbytes lets each CPU keep tens of MiB to itself, which MemAvailable leaves out.
    guest.shells.output("echo 1000 >/proc/sys/vm/percpu_pagelist_high_fraction; "
                        "echo %d >/proc/sys/vm/min_free_kbytes; sync; "
                        "echo 3 >/proc/sys/vm/drop_caches" % (64 << 10))
    dropped = available(guest)
    check = agent.call("memory-check-unplug", devices=[small])
    wanted = check["needed-bytes"] + check["reserve-bytes"]
    hog = guest.shell_start("hog -u %d" % ((dropped - wanted) // MIB - 40))
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
    guest.shells.output("echo 4096 >/proc/sys/vm/min_free_kbytes; "
                        "echo 0 >/proc/sys/vm/percpu_pagelist_high_fraction")
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


class Lines:
    """What a program has printed so far."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
        self.seen = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.seen.append(line.split()[0].strip())

    def stop(self):
        self.process.kill()
        self.process.wait()
        self._thread.join()


def test_the_example_keeps_a_guest_under_a_load_that_comes_and_goes(guest, swap):
    example = ROOT / "docs" / "examples" / "autoscale.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 100
    if guest._channel:
        guest._channel.close()
    cycles = 10 if SOAK else 2
    kills, load_mib = guest.oom_kills(), available(guest) // MIB + 60
    scaler = Lines(["/usr/bin/python3", str(example), str(guest.path("agent")), FOLDER + "/qmp.sock",
                    "1024", "256"])
    wait_until(lambda: scaler.seen == ["watching"], "it to begin")
    for _ in range(cycles):
        plugged = scaler.seen.count("plugged")
        hog = guest.shell_start("hog -r %d" % load_mib)
        wait_until(lambda: scaler.seen.count("plugged") > plugged, "a DIMM")
        hog.wait_output("ready")
        assert hog.status() is None
        hog.kill()
        hog.wait()
        wait_until(lambda: not guest.dimm("auto0") and scaler.process.poll() is None, "less again",
                   timeout=600)
    scaler.stop()
    figures.record("autoscale", cycles=cycles, load_mib=load_mib,
                   **{word: scaler.seen.count(word) for word in ("plugged", "unplugged", "refused")},
                   oom_kills=guest.oom_kills() - kills)
    asked = [word for word in scaler.seen if word in ("unplugged", "refused")]
    assert ("refused", "refused") not in list(zip(asked, asked[1:])), asked
    assert guest.oom_kills() == kills

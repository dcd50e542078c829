"""plug, unplug and resize with something in the middle: each ends, its last sentence is true, and a
guest that lives on has nothing offline without an owner."""
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

import figures
from guest import MIB, WaitedInVain, wait_until
from guest.jobs import ENDED
from guest.shell import Shells

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(tempfile.mkdtemp(prefix="memplug-middles."))
DISK = FOLDER / "snapshots.qcow2"
GUEST = {"memory": "1G", "maxmem": "8G", "slots": 8,
         "devices": ["-chardev", "socket,id=second,path=%s/qmp.sock,server=on,wait=off" % FOLDER,
                     "-mon", "chardev=second,mode=control",
                     "-drive", "if=none,id=snapshots,format=qcow2,file=%s" % DISK,
                     "-object", "memory-backend-ram,id=vmem-ram,size=2G",
                     "-device", "virtio-mem-pci,id=vmem,memdev=vmem-ram,requested-size=0"]}
DONE, REFUSED, NO_CONNECTION = 0, 1, 3
VERBS = {"plug": ["plug", "256M", "--id=more"], "unplug": ["unplug", "there"],
         "grow": ["resize", "3G"], "shrink": ["resize", "1G"]}
MIDDLES = ("interrupt", "kill", "daemon", "reset", "reboot", "pause", "loadvm")
MOMENTS = ("before", "during", "after")
ALL = [(verb, middle, moment) for verb in VERBS for middle in MIDDLES for moment in MOMENTS]
RUNS = 300 if os.environ.get("SOAK") == "1" else 9


@pytest.fixture(scope="module", autouse=True)
def folder():
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(DISK), "8G"], check=True)
    yield
    shutil.rmtree(FOLDER)


def start(guest, *words):
    """memplugctl, running."""
    if guest._channel:
        guest._channel.close()  # the port takes one client at a time
    running = subprocess.Popen([str(ROOT / "build" / "memplugctl"), "--host",
                                "unix:%s" % guest.path("agent"), "--qmp",
                                "unix:%s/qmp.sock" % FOLDER, "--json", *words],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running.noting = threading.Thread(target=note_end, args=(running,), daemon=True)
    running.noting.start()
    return running


def note_end(running):
    """When it ended, by the clock that QEMU's events tell."""
    running.wait()
    running.ended_s = time.time()


def finish(running):
    """(exit status, report or None, what it said on standard error)"""
    said, error = running.communicate(timeout=400)
    running.noting.join()
    print(running.args[-2:], running.returncode, said, error)
    return running.returncode, json.loads(said) if said.startswith("{") else None, error


def total(guest):
    """The guest's memory by QEMU, in bytes."""
    summary = guest.qmp.command("query-memory-size-summary")
    return summary["base-memory"] + summary.get("plugged-memory", 0)


def wait_up(guest):
    """Waits for the daemon's answer; a guest that has booted again has new shells."""
    def answers():
        guest.shells.close()
        guest.shells = Shells([guest.path("shell.%d" % n) for n in range(3)])
        try:
            return guest.shells.run("true", 20)
        except WaitedInVain:
            return None  # what is sent to a port that is just being opened may be lost

    wait_until(answers, "a shell of the guest", timeout=300)
    guest.channel(timeout=300).close()


def disturb(guest, middle, running):
    """Does what comes in between."""
    if middle in ("interrupt", "kill"):
        running.send_signal(signal.SIGINT if middle == "interrupt" else signal.SIGKILL)
    elif middle == "daemon":
        guest.shells.output("kill -KILL $(cat /run/memplugd.pid)")
        guest.start_daemon()
    elif middle == "reset":
        guest.qmp.command("system_reset")
    elif middle == "reboot":
        since = guest.qmp.mark()
        guest.shell_start("sleep 1; reboot -f")  # once the shell has answered
        guest.qmp.wait_event("RESET", since=since)
    elif middle == "pause":
        guest.qmp.command("stop")
        time.sleep(random.uniform(0.1, 3))
        guest.qmp.command("cont")
    elif middle == "loadvm":
        said = guest.qmp.command("human-monitor-command", command_line="loadvm before")
        assert not said, said


def restore(guest):
    """The guest as each run begins: 1 GiB, the DIMM "there" of 256 MiB, nothing else. A job that
    lost its memplugctl ends with its lease first."""
    whole(guest)
    for words in (["resize", "1G"], ["plug", "256M", "--id=there"]):
        status, report, error = finish(start(guest, *words))
        assert status == DONE, (report, error)
    assert guest.dimm("there") and total(guest) == 1280 * MIB
    whole(guest)


def describe_unowned(guest, looks, seconds):
    """For a person who reads a failure: what was offline and nobody's, and for how long."""
    devices = [(device["data"]["id"], device["data"].get("addr", device["data"].get("memaddr")),
                device["data"]["size"]) for device in guest.qmp.command("query-memory-devices")]
    for jobs, offline in looks[:1] + looks[-1:]:
        print("without an owner:", [tuple(block) for block in offline], "devices", devices,
              "jobs", json.dumps(jobs))
    print("%d looks in %.1f s;" % (len(looks), seconds),
          "guest up", guest.shells.output("cat /proc/uptime").split()[0], "s\n",
          guest.shells.output("tail -n 25 /run/memplugd.log"))


def whole(guest):
    """Every block is online, or some job that has not ended owns it: at once, but for a DIMM that has
    just come and is being onlined. No backend lies idle."""
    looks = []

    def owned():
        with guest.channel() as channel:
            jobs = channel.call("memory-query-unplug")
        alive = [job for job in jobs if job["state"] not in ENDED]
        offline = [block for block in guest.blocks().values() if block.state != "online"]
        if offline and not alive:
            looks.append((jobs, offline))
        return not offline or alive

    begin = time.monotonic()
    try:
        wait_until(owned, "no block offline without an owner", timeout=60)
    finally:
        if looks:
            describe_unowned(guest, looks, time.monotonic() - begin)
    wait_until(lambda: all(block.state == "online" for block in guest.blocks().values()),
               "every block to come back", timeout=300)
    behind = {device["data"]["memdev"].rpartition("/")[2]
              for device in guest.qmp.command("query-memory-devices")}
    idle = {backend["id"] for backend in guest.qmp.command("query-memdev")
            if backend["id"].startswith("memplug-mem")} - behind
    return not idle


def reset_since(guest, seconds):
    """Whether the guest was reset after that time. A reset takes what virtio-mem gave, until the
    driver is there again."""
    return any(event["event"] == "RESET" and event["timestamp"]["seconds"] >= seconds - 1
               for event in guest.qmp.events)


def told_true(guest, verb, running, report):
    """What memplugctl said at its end is what QEMU says, but where a reset came behind its end."""
    if running.returncode == DONE:
        wanted = {"plug": 1536, "unplug": 1024, "grow": 3072, "shrink": 1024}[verb] * MIB
        now = total(guest)  # takes in the events until now
        assert report["wanted"] == wanted == report["by-hypervisor"]
        assert now == wanted or reset_since(guest, running.ended_s)
    for step in report["steps"] if report else ():
        if step["result"] == "done" and step["action"] == "unplug":
            assert guest.dimm(step["device"]) is None
        if step["result"] == "done" and step["action"] == "plug":
            assert guest.dimm(step["device"])


def one(guest, verb, middle, moment):
    """One run."""
    if middle == "loadvm":
        said = guest.qmp.command("human-monitor-command", command_line="savevm before")
        assert not said, said
        if moment == "after":
            moment = "during"  # QEMU does not load a state with other devices
    since = guest.qmp.mark()
    if moment == "before" and middle not in ("interrupt", "kill"):
        disturb(guest, middle, None)
    running = start(guest, *VERBS[verb])
    if moment == "during" or middle in ("interrupt", "kill"):
        time.sleep(random.uniform(0, 1.5 if moment == "during" else 0.05))
        devices = {device["data"]["id"] for device in guest.qmp.command("query-memory-devices")}
        if middle != "loadvm" or (devices == {"there", "vmem"} and running.poll() is None):
            disturb(guest, middle, running)
    status, report, error = finish(running)
    # Ctrl-C before anything was begun ends it as any program.
    is_ended = {"kill": (-9,), "interrupt": (-2,)}.get(middle, ())
    assert status in (DONE, REFUSED, NO_CONNECTION) or status in is_ended
    assert status == DONE or status in is_ended or report or error
    if middle != "loadvm":
        told_true(guest, verb, running, report)
    if moment == "after" and middle not in ("interrupt", "kill"):
        disturb(guest, middle, running)
    if guest.qmp.find_event("RESET", since=since):
        wait_up(guest)
    wait_until(lambda: guest.shell("pidof memplugd")[0] == 0, "the daemon")
    restore(guest)
    assert whole(guest), "a backend without a device"
    return status


def test_each_verb_with_each_middle(guest):
    """In check a spread of them, in soak all, several times."""
    random.seed(15)
    guest.qmp.command("set-action", reboot="reset")  # the harness has it end QEMU
    seen = {}
    restore(guest)
    passes = [random.sample(ALL, len(ALL)) for _ in range(RUNS // len(ALL) + 1)]
    runs = sum(passes, [])[:RUNS]
    for number, (verb, middle, moment) in enumerate(runs):
        print("---", number, verb, middle, moment, time.strftime("%T"), flush=True)
        status = one(guest, verb, middle, moment)
        seen[status] = seen.get(status, 0) + 1
    figures.record("interrupted runs", runs=len(runs),
                   **{"exit_%d" % status: count for status, count in sorted(seen.items())})
    assert guest.oom_kills() == 0

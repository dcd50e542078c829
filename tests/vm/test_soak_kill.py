"""SIGKILL at random moments of a job's life: the next daemon takes the job over.

To the daemon, its worker, or both; half of them while an eject hangs in the kernel.
"""
import os
import random
import time

import figures
from guest import MIB
from guest.jobs import ENDED, prepare, query, wait_job
from guest.waiting import wait_until

ROUNDS = 200 if os.environ.get("SOAK") == "1" else 8  # each moment with and without an eject
SIZE = 512 * MIB
MOMENTS = ("prepare", "prepare", "ready", "rollback")
VICTIMS = ("daemon", "worker", "both")
DAEMON = "kill -KILL $(cat /run/memplugd.pid)"
WORKER = ("for p in /proc/[0-9]*; do read c <$p/comm; "
          "[ \"$c\" != memplugd-worker ] || kill -KILL ${p#/proc/}; done 2>/dev/null")
KILLS = {"daemon": DAEMON, "worker": WORKER, "both": WORKER + "; " + DAEMON}
MOVABLE = {("online", "Movable")}


def kill(guest, victim):
    """The daemon is gone then. Its worker may not be: it may sleep where no signal ends it."""
    guest.shells.output(KILLS[victim])
    if victim != "worker":
        wait_until(lambda: guest.shell("test -e /run/memplugd.status")[0] == 0,
                   "the daemon to die")


def lost(guest, channel, dimm):
    """The blocks that are not online, where no job that has not ended shows that they are its."""
    # The jobs first: one that ends in between has given its blocks back.
    alive = [record for record in channel.call("memory-query-unplug")
             if record["state"] not in ENDED]
    if len(alive) == 1:
        return []
    return [block for block in guest.dimm_blocks(dimm).values() if block.state != "online"]


def plug(guest, dimm, size=SIZE):
    device = guest.plug_dimm(dimm, size)
    guest.wait_states(dimm, "online", "Movable")
    return {"slot": device["slot"]}


def found(guest, job):
    """In which state the next daemon found the job in the journal."""
    log = guest.shells.output("grep 'taking job %d over' /run/memplugd.log || true" % job)
    return log.rpartition("(")[2].strip().rstrip(")") or "over"


class HungEject:
    """A DIMM that the host takes blindly, while a page of it is pinned."""

    def __init__(self, guest):
        self._guest = guest
        if not guest.dimm("blind"):
            plug(guest, "blind", 256 * MIB)
        self._pin = guest.pin(sorted(guest.dimm_blocks("blind")))

    def begin(self):
        self._guest.device_del("blind")
        wait_until(lambda: self._guest.blocks()[self._pin.block].state == "going-offline",
                   "the eject to hang")

    def end(self):
        self._guest.unpin(self._pin)
        self._guest.wait_deleted("blind")


def live(guest, slot, moment, eject):
    """A job up to somewhere in its life, with an eject that hangs before that or at the end."""
    is_early = moment == "prepare" and random.random() < 0.5
    if eject and is_early:
        eject.begin()
    with guest.channel() as channel:
        job = prepare(channel, slot, lease_ms=600000)
        if moment == "prepare":
            time.sleep(random.uniform(0, 0.6))
        else:
            wait_job(channel, job, "ready")
        if eject and not is_early:
            eject.begin()
        if moment == "rollback":
            channel.call("memory-cancel-unplug", job=job)
            time.sleep(random.uniform(0, 0.1))
    return job


def next_channel(guest, victim):
    """A channel to the next daemon, or to the same one where only its worker was killed, and how long
    it took from the start to the first answer."""
    begin = time.monotonic()
    if victim != "worker":
        guest.start_daemon()
    channel = guest.channel()
    return channel, time.monotonic() - begin


def one_kill(guest, dimm, slot, moment, victim, eject):
    """Kills somewhere in a job's life. Returns (its state then, how it ended, seconds)."""
    job = live(guest, slot, moment, eject)
    kill(guest, victim)
    channel, seconds = next_channel(guest, victim)
    with channel:
        query(channel, job)
        assert lost(guest, channel, dimm) == []
        if eject:
            eject.end()
        record = wait_job(channel, job, "ready", *ENDED)
        assert lost(guest, channel, dimm) == []
        if record["state"] == "ready":
            blocks = guest.dimm_blocks(dimm).values()
            assert {block.state for block in blocks} == {"offline"}, "ready was not true"
            channel.call("memory-cancel-unplug", job=job)
            wait_job(channel, job, "cancelled")
    assert {(block.state, block.zone)
            for block in guest.dimm_blocks(dimm).values()} == MOVABLE
    was = found(guest, job) if victim != "worker" else "worker killed"
    return was, record["state"], seconds


def test_the_job_goes_on_or_is_rolled_back(guest):
    random.seed(6)
    slot = plug(guest, "dimm")
    ways, times = {}, []
    for number in range(ROUNDS):
        eject = HungEject(guest) if number % 2 else None
        was, end, seconds = one_kill(guest, "dimm", slot, MOMENTS[number // 2 % len(MOMENTS)],
                                     VICTIMS[number % len(VICTIMS)], eject)
        ways[was, end] = ways.get((was, end), 0) + 1
        times.append(seconds)
        print("kill %d: %s, then %s; answered after %.1f s" % (number + 1, was, end, seconds))
    figures.record("kill -9", kills=ROUNDS, behind_a_hung_eject=ROUNDS // 2, lost_blocks=0,
                   answers_after_more_than_10_s=sum(seconds > 10 for seconds in times),
                   longest_s="%.1f" % max(times),
                   **{"%s_then_%s" % way: count for way, count in sorted(ways.items())})
    assert guest.oom_kills() == 0
    if guest.dimm("blind"):
        guest.wait_states("blind", "online", "Movable")


def test_a_new_dimm_at_the_old_address_is_not_the_old_jobs(guest):
    """The host takes the DIMM while no daemon runs, and plugs another in its place."""
    if not guest.dimm("dimm"):
        plug(guest, "dimm")
    old = guest.dimm("dimm")
    with guest.channel() as channel:
        job = prepare(channel, {"slot": old["slot"]}, lease_ms=600000)
        wait_job(channel, job, "ready")
    kill(guest, "daemon")
    guest.wait_deleted("dimm", guest.device_del("dimm"))
    new = guest.plug_dimm("dimm", SIZE)
    assert (new["addr"], new["slot"]) == (old["addr"], old["slot"])
    guest.start_daemon()
    with guest.channel() as channel:
        record = wait_job(channel, job, *ENDED)
        assert record["state"] == "unplugged"
        assert [device["state"] for device in record["devices"]] == ["unplugged"]
    # The policy brings the new blocks online, as those of any DIMM.
    guest.wait_states("dimm", "online", "Movable")
    with guest.channel() as channel:
        assert query(channel, job)["state"] == "unplugged"
        assert [record for record in channel.call("memory-query-unplug")
                if record["state"] not in ENDED] == []
        record = wait_job(channel, prepare(channel, {"slot": new["slot"]}), "ready")
        guest.wait_deleted("dimm", guest.device_del("dimm"))
        wait_job(channel, record["job"], "unplugged")


def test_a_journal_that_makes_no_sense(guest):
    """It is refused, and what it may have kept offline is found by looking."""
    slot = plug(guest, "dimm")
    with guest.channel() as channel:
        wait_job(channel, prepare(channel, slot, lease_ms=600000), "ready")
    kill(guest, "daemon")
    guest.shells.output("echo '{\"format\": 1, \"boot-id\": 7' >/run/memplug/jobs.json")
    guest.start_daemon()
    with guest.channel() as channel:
        guest.wait_states("dimm", "online", "Movable")
        record, = channel.call("memory-query-unplug")
        assert wait_job(channel, record["job"], "failed")["reasons"]

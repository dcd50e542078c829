"""SIGKILL at random moments of prepare, ready and rollback: the next daemon takes the job over."""
import os
import random
import time

import figures
from guest import MIB
from guest.jobs import ENDED, prepare, query, wait_job
from guest.waiting import wait_until

ROUNDS = 200 if os.environ.get("SOAK") == "1" else 14
SIZE = 512 * MIB


def kill_daemon(guest):
    guest.shells.output("kill -KILL $(cat /run/memplugd.pid)")
    wait_until(lambda: guest.shell("pidof memplugd")[0] != 0, "the daemon and its worker to die")


def owned(guest, channel, dimm):
    """Every block that is offline belongs to a job that has not ended."""
    # The jobs first: one that ends in between has given its blocks back.
    alive = [record for record in channel.call("memory-query-unplug")
             if record["state"] not in ENDED]
    offline = [block for block in guest.dimm_blocks(dimm).values() if block.state != "online"]
    return not offline or len(alive) == 1


def plug(guest, dimm):
    device = guest.plug_dimm(dimm, SIZE)
    guest.wait_states(dimm, "online", "Movable")
    return {"slot": device["slot"]}


def found(guest, job):
    """In which state the next daemon found the job in the journal."""
    log = guest.shells.output("grep 'taking job %d over' /run/memplugd.log || true" % job)
    return log.rpartition("(")[2].strip().rstrip(")") or "over"


def one_kill(guest, dimm, slot, moment):
    """Kills the daemon somewhere in a job's life. Returns (its state when killed, how it ended)."""
    with guest.channel() as channel:
        job = prepare(channel, slot, lease_ms=600000)
        if moment == "prepare":
            time.sleep(random.uniform(0, 0.6))
        else:
            wait_job(channel, job, "ready")
        if moment == "rollback":
            channel.call("memory-cancel-unplug", job=job)
            time.sleep(random.uniform(0, 0.1))
    kill_daemon(guest)
    guest.start_daemon()
    with guest.channel() as channel:
        assert owned(guest, channel, dimm)
        record = wait_job(channel, job, "ready", *ENDED)
        assert owned(guest, channel, dimm)
        if record["state"] == "ready":
            blocks = guest.dimm_blocks(dimm).values()
            assert {block.state for block in blocks} == {"offline"}, "ready was not true"
            channel.call("memory-cancel-unplug", job=job)
            wait_job(channel, job, "cancelled")
    assert {(block.state, block.zone) for block in guest.dimm_blocks(dimm).values()} == {
        ("online", "Movable")}
    return found(guest, job), record["state"]


def test_the_job_goes_on_or_is_rolled_back(guest):
    random.seed(6)
    slot = plug(guest, "dimm")
    seen = {}
    for number in range(ROUNDS):
        moment = ("prepare", "prepare", "ready", "rollback")[number % 4]
        way = one_kill(guest, "dimm", slot, moment)
        seen[way] = seen.get(way, 0) + 1
    figures.record("kill -9", kills=ROUNDS, lost_blocks=0,
                   **{"%s_then_%s" % way: count for way, count in sorted(seen.items())})
    assert guest.oom_kills() == 0


def test_a_new_dimm_at_the_old_address_is_not_the_old_jobs(guest):
    """The host takes the DIMM while no daemon runs, and plugs another in its place."""
    if not guest.dimm("dimm"):
        plug(guest, "dimm")
    old = guest.dimm("dimm")
    with guest.channel() as channel:
        job = prepare(channel, {"slot": old["slot"]}, lease_ms=600000)
        wait_job(channel, job, "ready")
    kill_daemon(guest)
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
    kill_daemon(guest)
    guest.shells.output("echo '{\"format\": 1, \"boot-id\": 7' >/run/memplug/jobs.json")
    guest.start_daemon()
    with guest.channel() as channel:
        guest.wait_states("dimm", "online", "Movable")
        record, = channel.call("memory-query-unplug")
        assert wait_job(channel, record["job"], "failed")["reasons"]

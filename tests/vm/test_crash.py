"""The daemon dies, or is asked to end, in the middle: no block stays offline without an owner."""
import pytest

from guest import daemon
from guest.jobs import ENDED, codes, prepare, query, wait_job
from guest.waiting import wait_until


@pytest.fixture
def stuck(guest, agent, dimm):
    """A job that cannot get past one block: (job, that block's Pin)."""
    pin = guest.pin(guest.dimm_blocks(dimm))
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]}, timeout_ms=600000)
    wait_until(lambda: guest.blocks()[pin.block].state == "going-offline", "the job to get stuck")
    yield job, pin
    guest.unpin(pin)


def kill_daemon(guest):
    """SIGKILL to the daemon alone; its worker has to go with it."""
    guest.shells.output("kill -KILL $(cat /run/memplugd.pid)")
    wait_until(lambda: guest.shell("pidof memplugd")[0] != 0, "the daemon and its worker to die")


def owned_or_online(guest, channel, dimm):
    """Every block that is offline belongs to a job that has not ended."""
    jobs = [record for record in channel.call("memory-query-unplug")
            if record["state"] not in ENDED]
    offline = [block for block in guest.dimm_blocks(dimm).values() if block.state != "online"]
    return not offline or len(jobs) == 1


def test_kill_in_the_middle_of_a_prepare(guest, agent, dimm, stuck):
    job, pin = stuck
    agent.close()
    kill_daemon(guest)
    guest.start_daemon()
    with guest.channel() as channel:
        record = query(channel, job)
        assert record["state"] in ("checking", "offlining", "rolling-back", "failed")
        assert owned_or_online(guest, channel, dimm)
        guest.unpin(pin)
        record = wait_job(channel, job, "ready", *ENDED)
        if record["state"] == "ready":
            channel.call("memory-cancel-unplug", job=job)
            wait_job(channel, job, "cancelled")
    guest.wait_states(dimm, "online", "Movable")


def test_kill_while_ready(guest, agent, dimm):
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]})
    wait_job(agent, job, "ready")
    agent.close()
    kill_daemon(guest)
    guest.start_daemon()
    with guest.channel() as channel:
        wait_job(channel, job, "ready")
        guest.wait_states(dimm, "offline")
        guest.wait_deleted(dimm, guest.device_del(dimm))
        wait_job(channel, job, "unplugged")


def test_the_lease_ended_while_the_daemon_was_dead(guest, agent, dimm):
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]}, lease_ms=8000)
    wait_job(agent, job, "ready")
    agent.close()
    kill_daemon(guest)
    guest.shells.output("sleep 9")
    guest.start_daemon()
    with guest.channel() as channel:
        wait_job(channel, job, "expired")
    guest.wait_states(dimm, "online", "Movable")


def test_job_ids_are_not_used_twice(guest, agent, dimm):
    slot = {"slot": guest.dimm(dimm)["slot"]}
    first = prepare(agent, slot)
    wait_job(agent, first, "ready")
    agent.close()
    kill_daemon(guest)
    guest.start_daemon()
    with guest.channel() as channel:
        channel.call("memory-cancel-unplug", job=first)
        wait_job(channel, first, "cancelled")
        second = prepare(channel, slot)
        assert second > first
        wait_job(channel, second, "ready")


def test_sigterm_ends_behind_a_hung_eject(guest, agent, dimm):
    """The kernel lets no block come back: the next start brings them."""
    guest.plug_dimm("blind")
    pin = guest.pin(sorted(guest.wait_states("blind", "online", "Movable")))
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]})
    wait_job(agent, job, "ready")
    guest.device_del("blind")
    wait_until(lambda: guest.blocks()[pin.block].state == "going-offline", "the eject to hang")
    agent.close()
    assert daemon.stop(guest) == 1
    assert "its next start goes on" in daemon.log(guest)
    guest.wait_states(dimm, "offline")
    guest.start_daemon()
    with guest.channel() as channel:
        wait_job(channel, job, "rolling-back")
        guest.unpin(pin)
        guest.wait_deleted("blind")
        wait_job(channel, job, "failed")
    guest.wait_states(dimm, "online", "Movable")


def test_sigterm_rolls_back_and_ends_with_0(guest, agent, dimm, stuck):
    job, _ = stuck
    agent.close()
    guest.shells.output("kill -TERM $(cat /run/memplugd.pid)")
    status = wait_until(lambda: guest.shell("cat /run/memplugd.status 2>/dev/null")[1],
                        "the daemon to end")
    assert status == "0\n"
    assert {(block.state, block.zone) for block in guest.dimm_blocks(dimm).values()} == {
        ("online", "Movable")}
    guest.start_daemon()
    with guest.channel() as channel:
        assert "agent-stopped" in codes(query(channel, job))

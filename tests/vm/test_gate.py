"""gate=yes: the kernel refuses an eject that no job prepared, at once, and touches nothing."""

from guest import Archive
from guest.jobs import ENDED, codes, prepare, query, wait_job
from guest.waiting import wait_until

FLAG = "/sys/firmware/acpi/hotplug/memory/enabled"
REFUSED = 128

CONF = Archive()
CONF.file("etc/memplug/memplugd.conf.d/50-gate.conf", "[unplug]\ngate=yes\n")
GUEST = {"overlays": [CONF]}


def flag(guest):
    return guest.shells.output("cat " + FLAG).strip()


def wait_flag(guest, value):
    wait_until(lambda: flag(guest) == value, "the kernel's switch to be " + value)


def refused(guest, dimm):
    """What the guest answered to a device_del, once it has."""
    mark = guest.device_del(dimm)
    return wait_until(lambda: guest.eject_refusal(dimm, mark), "the eject to be refused")


def test_an_unprepared_eject_touches_nothing(guest, agent, dimm):
    wait_flag(guest, "0")
    before = guest.blocks()
    pin = guest.pin(guest.dimm_blocks(dimm))  # such an eject would hang
    assert refused(guest, dimm) == REFUSED
    assert guest.blocks() == before
    guest.unpin(pin)


def test_while_ready_it_works_and_then_no_more(guest, agent, dimm):
    guest.plug_dimm("other")
    guest.wait_states("other", "online", "Movable")
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]})
    wait_job(agent, job, "ready")
    assert flag(guest) == "1", "ready before the gate was open"
    guest.wait_deleted(dimm, guest.device_del(dimm))
    wait_job(agent, job, "unplugged")
    wait_flag(guest, "0")
    assert refused(guest, "other") == REFUSED
    job = prepare(agent, {"slot": guest.dimm("other")["slot"]})
    wait_job(agent, job, "ready")
    guest.wait_deleted("other", guest.device_del("other"))
    wait_job(agent, job, "unplugged")


def test_a_restart_beside_a_hung_eject(guest, agent, dimm):
    """The killed daemon's worker sleeps with a 0 for the switch, which it writes when all is over."""
    guest.plug_dimm("blind")
    pin = guest.pin(sorted(guest.wait_states("blind", "online", "Movable")))
    slot = {"slot": guest.dimm(dimm)["slot"]}
    job = prepare(agent, slot)
    wait_job(agent, job, "ready")
    guest.device_del("blind")
    wait_until(lambda: guest.blocks()[pin.block].state == "going-offline", "the eject to hang")
    agent.call("memory-cancel-unplug", job=job)
    wait_until(lambda: codes(query(agent, job)) == {"kernel-busy"}, "the rollback to say so")
    agent.close()
    guest.shells.output("kill -KILL $(cat /run/memplugd.pid)")
    wait_until(lambda: guest.shell("test -e /run/memplugd.status")[0] == 0, "the daemon to die")
    guest.start_daemon()
    with guest.channel() as channel:
        wait_until(lambda: codes(query(channel, job)) == {"kernel-busy"}, "the next one to say so")
        guest.unpin(pin)
        guest.wait_deleted("blind")
        wait_job(channel, job, "cancelled")
        guest.wait_states(dimm, "online", "Movable")
        wait_flag(guest, "0")
        wait_job(channel, prepare(channel, slot), "ready")
        assert flag(guest) == "1", "ready before the gate was open"
        guest.wait_deleted(dimm, guest.device_del(dimm))


def test_a_rollback_leaves_it_closed(guest, agent, dimm):
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]})
    wait_job(agent, job, "ready")
    agent.call("memory-cancel-unplug", job=job)
    wait_job(agent, job, "cancelled")
    wait_flag(guest, "0")
    guest.wait_states(dimm, "online", "Movable")


def test_a_rollback_leaves_it_open_for_another_ready_job(guest, agent, dimm):
    guest.plug_dimm("other")
    guest.wait_states("other", "online", "Movable")
    first = prepare(agent, {"slot": guest.dimm(dimm)["slot"]})
    second = prepare(agent, {"slot": guest.dimm("other")["slot"]})
    for job in (first, second):
        wait_job(agent, job, "ready")
    agent.call("memory-cancel-unplug", job=first)
    wait_job(agent, first, "cancelled")
    wait_flag(guest, "1")
    guest.wait_deleted("other", guest.device_del("other"))
    wait_job(agent, second, "unplugged")
    wait_flag(guest, "0")


def kill_daemon(guest):
    guest.shells.output("kill -KILL $(cat /run/memplugd.pid)")
    wait_until(lambda: guest.shell("pidof memplugd")[0] != 0, "the daemon and its worker to die")


def test_it_is_restored_at_stop_and_after_a_kill(guest, agent, dimm):
    wait_flag(guest, "0")
    agent.close()
    guest.shells.output("kill -TERM $(cat /run/memplugd.pid)")
    wait_until(lambda: guest.shell("cat /run/memplugd.status")[0] == 0, "the daemon to end")
    assert flag(guest) == "1"

    guest.start_daemon()
    wait_flag(guest, "0")
    kill_daemon(guest)
    assert flag(guest) == "0"
    # The next one does not use the gate, and knows what the switch was from the journal.
    guest.shells.output("mv /etc/memplug/memplugd.conf.d/50-gate.conf /run/")
    guest.start_daemon()
    wait_flag(guest, "1")
    kill_daemon(guest)
    guest.shells.output("mv /run/50-gate.conf /etc/memplug/memplugd.conf.d/")
    guest.start_daemon()
    wait_flag(guest, "0")


def test_ready_jobs_keep_it_open_across_a_kill(guest, agent, dimm):
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]}, lease_ms=600000)
    wait_job(agent, job, "ready")
    agent.close()
    kill_daemon(guest)
    guest.start_daemon()
    with guest.channel() as channel:
        wait_job(channel, job, "ready")
        wait_flag(guest, "1")
        guest.wait_deleted(dimm, guest.device_del(dimm))
        wait_job(channel, job, *ENDED)
        wait_flag(guest, "0")

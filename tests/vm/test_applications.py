"""Applications in a Debian with systemd: locks, polkit, an administrator's scripts, and what is
killed in between. One guest for all; the tests run in their order."""
import os
import re

import pytest

from guest.jobs import codes, prepare, query, wait_job
from guest.memory import MIB
from guest.systemd_guest import USER, SystemdGuest, SystemdImage
from guest.waiting import wait_until

ROUNDS = 100 if os.environ.get("SOAK") == "1" else 3
DROP_IN = "/etc/memplug/memplugd.conf.d/50-test.conf"
OBJECT = "org.memplug.Agent1 /org/memplug/Agent1 org.memplug.Agent1"
LOG = "/run/hooks.log"
SCRIPT = """mkdir -p /etc/memplug/unplug.d; cat >/etc/memplug/unplug.d/app <<'END'
#!/bin/sh
echo "$1 $MEMPLUG_JOB" >>%s
%%s
END
chmod 755 /etc/memplug/unplug.d/app""" % LOG
POLKIT_RULE = """polkit.addRule(function(action, subject) {
    if (action.id == "org.memplug.inhibit-block" && subject.user == "%s") return polkit.Result.YES;
});
""" % USER


@pytest.fixture(scope="module")
def shared_guest():
    image = SystemdImage()
    image.make_installed()
    with SystemdGuest(image, installed=True, append="psi=1 ") as guest:
        guest.plug_dimm("dimm", 256 * MIB)
        guest.wait_states("dimm", "online", "Movable")
        guest.device = {"slot": guest.dimm("dimm")["slot"]}
        yield guest


@pytest.fixture
def guest(shared_guest):
    yield shared_guest
    shared_guest.shells.output("systemctl stop memplug-hooks; pkill -x -f 'memplugctl inhibit.*' || true; "
                               "rm -rf /etc/memplug/unplug.d %s" % LOG)


@pytest.fixture
def agent(guest):
    with guest.channel() as channel:
        yield channel


def set_delay(guest, ms):
    guest.shells.output("mkdir -p $(dirname %s); printf '[unplug]\\napplication-delay-ms=%d\\n' >%s; "
                        "systemctl reload memplugd" % (DROP_IN, ms, DROP_IN))
    wait_until(lambda: guest.shells.output("busctl get-property %s ApplicationDelayMs" % OBJECT)
               == "t %d\n" % ms, "the reload")


def holders(agent):
    return {lock["who"] for lock in agent.call("memory-get-status")["inhibitors"]}


def lock(guest, agent, who, mode):
    """An application with a lock; ends with its kill()."""
    job = guest.shell_start("exec memplugctl inhibit --who %s --why 'it said so' --mode %s -- sleep 100000"
                            % (who, mode))
    wait_until(lambda: who in holders(agent), "the lock of " + who)
    return job


def cancel(agent, job):
    agent.call("memory-cancel-unplug", job=job)
    wait_job(agent, job, "cancelled")


def test_a_delay_is_honoured_until_the_application_dies(guest, agent):
    set_delay(guest, 60000)
    application = lock(guest, agent, "database", "delay")
    job = prepare(agent, guest.device)
    wait_job(agent, job, "asking")
    assert "database" in guest.shells.output("memplugctl status")
    guest.wait_states("dimm", "online", "Movable")
    application.kill("KILL")
    wait_job(agent, job, "ready")
    assert holders(agent) == set()
    cancel(agent, job)


def test_a_delay_is_bounded(guest, agent):
    set_delay(guest, 1000)
    application = lock(guest, agent, "sluggard", "delay")
    job = prepare(agent, guest.device)
    wait_job(agent, job, "ready")
    assert holders(agent) == {"sluggard"}
    cancel(agent, job)
    application.kill("KILL")


def test_a_block_refuses_with_who_and_why(guest, agent):
    application = lock(guest, agent, "batch", "block")
    record = wait_job(agent, prepare(agent, guest.device), "failed")
    assert codes(record) == {"inhibited"}
    assert "batch" in record["reasons"][0]["desc"] and "it said so" in record["reasons"][0]["desc"]
    application.kill("KILL")
    wait_until(lambda: agent.call("memory-check-unplug", devices=[guest.device])["ready-to-prepare"],
               "the lock to end")


def test_polkit_decides(guest, agent):
    """An ordinary user takes no block lock, unless a rule says so."""
    command = ("setpriv --reuid=%s --regid=%s --clear-groups memplugctl inhibit --who user --why x "
               "--mode block -- true" % (USER, USER))
    assert guest.shell(command)[0] != 0
    guest.shells.output("cat >/etc/polkit-1/rules.d/50-test.rules <<'END'\n%sEND" % POLKIT_RULE)
    wait_until(lambda: guest.shell(command)[0] == 0, "polkit to follow its new rule")
    guest.shells.output("rm /etc/polkit-1/rules.d/50-test.rules")


def start_hooks(guest, agent, body):
    guest.shells.output(SCRIPT % body)
    guest.shells.output("rm -f %s; systemctl start memplug-hooks" % LOG)
    wait_until(lambda: "memplug-hooks" in holders(agent), "the service's lock")


def told(guest):
    return guest.shells.output("cat %s 2>/dev/null || true" % LOG).splitlines()


def wait_told(guest, *lines):
    wait_until(lambda: set(lines) <= set(told(guest)), "%s in %s" % (lines, told(guest)))


def test_scripts_hear_of_a_prepare_and_what_became_of_it(guest, agent):
    set_delay(guest, 60000)
    start_hooks(guest, agent, "exit 0")
    job = prepare(agent, guest.device)
    wait_job(agent, job, "ready")
    assert told(guest) == ["check %d" % job, "pre %d" % job]
    cancel(agent, job)
    wait_told(guest, "undo %d" % job)
    wait_until(lambda: "memplug-hooks" in holders(agent), "the next lock")
    job = prepare(agent, guest.device)
    wait_job(agent, job, "ready")
    guest.wait_deleted("dimm", guest.device_del("dimm"))
    wait_told(guest, "post %d" % job)
    guest.plug_dimm("dimm", 256 * MIB)
    guest.wait_states("dimm", "online", "Movable")
    wait_until(lambda: any(line.startswith("grown") for line in told(guest)), "grown")
    assert "undo %d" % job not in told(guest)


def test_a_script_says_no(guest, agent):
    start_hooks(guest, agent, '[ $1 != check ] || { echo "the cache is full"; exit 1; }')
    job = prepare(agent, guest.device)
    record = wait_job(agent, job, "failed")
    assert codes(record) == {"inhibited"} and "the cache is full" in record["reasons"][0]["desc"]
    assert told(guest) == ["check %d" % job]


def test_a_script_that_does_not_end_is_killed(guest, agent):
    set_delay(guest, 2000)
    start_hooks(guest, agent, "trap '' ABRT; [ $1 != pre ] || { sleep 100000; sleep 100000; }")
    job = prepare(agent, guest.device)
    wait_job(agent, job, "ready")
    wait_until(lambda: guest.shell("pgrep -x sleep")[0] != 0, "what it has started to end")
    cancel(agent, job)
    wait_told(guest, "undo %d" % job)


VICTIMS = {"daemon": "systemctl kill -s KILL --kill-who=main memplugd",
           "service": "systemctl kill -s KILL --kill-who=main memplug-hooks",
           "application": "pkill -KILL -x -f 'sh /etc/memplug/unplug.d/app .*' || pkill -KILL app || true"}
STEPS = ("check", "pre", "ready", "undo")


# Each step and each victim, in check not each with each.
KILLS = [(step, victim) for i, step in enumerate(STEPS) for j, victim in enumerate(VICTIMS)
         if ROUNDS > 3 or i % len(VICTIMS) == j]


@pytest.mark.parametrize("step, victim", KILLS)
def test_a_kill_in_the_middle(guest, agent, victim, step):
    """Nothing is lost, and each pre has its undo, once or (where the service itself died in it) twice."""
    set_delay(guest, 60000)
    for round_ in range(max(ROUNDS // len(VICTIMS) // len(STEPS), 1)):
        start_hooks(guest, agent, 'if [ "$1" = %s ] && [ ! -e /run/go ]; then touch /run/there; '
                    'while [ ! -e /run/go ]; do sleep 0.1; done; fi' % step)
        guest.shells.output("rm -f /run/go /run/there")
        job = prepare(agent, guest.device)
        if step in ("ready", "undo"):
            wait_job(agent, job, "ready")
        if step == "undo":
            agent.call("memory-cancel-unplug", job=job)
        if step != "ready":
            wait_until(lambda: guest.shell("test -e /run/there")[0] == 0, "the script to be at it")
        guest.shells.output(VICTIMS[victim] + "; touch /run/go")
        agent.close()
        with guest.channel() as channel:
            wait_until(lambda: query(channel, job)["state"] in ("ready", "cancelled"), "the job to go on")
            if query(channel, job)["state"] == "ready":
                cancel(channel, job)
            wait_until(lambda: "memplug-hooks" in holders(channel), "the service to be there")
        lines = told(guest)
        if "pre %d" % job in lines:
            wait_told(guest, "undo %d" % job)
        wait_until(lambda: guest.shells.output("ls /run/memplug-hooks") == "", "the record to go")
        guest.wait_states("dimm", "online", "Movable")
        assert 1 <= told(guest).count("undo %d" % job) <= 2 or "pre %d" % job not in lines, told(guest)
        guest.shells.output("systemctl stop memplug-hooks")
        agent = guest.channel()


def test_the_sandbox_lets_caches_be_dropped(guest, agent):
    """And pressure be watched, with the capabilities of the unit."""
    agent.call("memory-set-events", enabled=True, pressure={"stall-ms": 100, "window-ms": 1000})
    agent.call("memory-set-events", enabled=False)
    free = guest.meminfo()["MemAvailable"]
    check = agent.call("memory-check-unplug", devices=[guest.device])
    wanted = check["needed-bytes"] + check["reserve-bytes"]
    # What it holds back of nothing is nothing: the job fails, but has tried.
    guest.shells.output("mount -o remount,size=95%% /dev/shm; dd if=/dev/zero of=/dev/shm/held bs=1M count=%d 2>/dev/null"
                        % ((free - wanted) // MIB + 150))
    record = wait_job(agent, prepare(agent, guest.device, reclaim=True), "failed")
    assert codes(record) == {"low-memory"}
    said = guest.shells.output("dmesg | grep drop_caches; journalctl -b -o cat -u memplugd | tail -n 5; "
                               "rm /dev/shm/held")
    assert re.search(r"\(\d+\): drop_caches: 2", said), said

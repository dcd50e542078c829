"""With each distribution's rule in the guest, a burst of DIMMs ends in Movable whatever happens."""
import os
from pathlib import Path

import pytest

from guest import MIB, Archive, wait_until
from guest import daemon
from guest.jobs import prepare, query, wait_job

SYSTEMS = Path(__file__).parents[1] / "distro-rules"
RULES = [next((SYSTEMS / system).iterdir()) for system in ("rhel-10", "rhel-9", "openeuler", "suse",
                                                           "ubuntu", "photon")]
N_DIMMS = 10
DIMM_BYTES = 256 * MIB
N_BLOCKS = N_DIMMS * 2
MASK = "39-memplug-online.rules"


def parked():
    """The rules lie in the guest until a test installs one."""
    overlay = Archive()
    for rule in RULES:
        overlay.copy(rule, "distro-rules/" + rule.name)
    overlay.directory("etc/udev/rules.d")
    return overlay


# RAM above 4 GiB: where the guest has a Normal zone of its own, the kernel does not put what it
# cannot move into every block that is online there for a moment.
GUEST = {"memory": "3G", "overlays": [parked()]}


def install(guest, *names, override=True):
    """These rules and no other; without `override` ours is masked."""
    guest.shells.output("rm -f /etc/udev/rules.d/*.rules; %s %s udevadm control --reload"
                        % ("".join("cp /distro-rules/%s /etc/udev/rules.d/; " % name
                                   for name in names),
                           "" if override else ": >/etc/udev/rules.d/%s;" % MASK))


def burst(guest):
    for number in range(N_DIMMS):
        guest.add_dimm("burst%d" % number, DIMM_BYTES)


def hot_blocks(guest):
    return [block for block in guest.blocks().values() if block.slot is not None]


def wait_movable(guest):
    def look():
        found = {(block.state, block.zone) for block in hot_blocks(guest)}
        return found == {("online", "Movable")} and len(hot_blocks(guest)) == N_BLOCKS

    wait_until(look, "%d blocks to be online as movable" % N_BLOCKS)


@pytest.fixture
def machine(guest):
    """The guest, with its daemon; the burst is taken away afterwards."""
    daemon.wait_ready(guest)
    yield guest
    if not daemon.is_running(guest):
        daemon.start(guest)
    marks = [(dimm["data"]["id"], guest.device_del(dimm["data"]["id"]))
             for dimm in guest.qmp.command("query-memory-devices")]
    for dimm, mark in marks:
        guest.wait_deleted(dimm, mark)
    install(guest)


def running(guest):
    burst(guest)


def killed_and_restarted(guest):
    for number in range(N_DIMMS):
        guest.add_dimm("burst%d" % number, DIMM_BYTES)
        if number == 3:
            daemon.kill(guest)
        if number == 6:
            guest.start_daemon()


def started_after(guest):
    daemon.stop(guest)
    burst(guest)
    wait_until(lambda: len(hot_blocks(guest)) == N_BLOCKS, "all blocks to be there")
    guest.shells.output("udevadm settle")
    daemon.start(guest)


SCENARIOS = (running, killed_and_restarted, started_after)
# Each rule alone: in check in the worst of them only.
FOR_EACH = SCENARIOS if os.environ.get("SOAK") == "1" else (killed_and_restarted,)


@pytest.mark.parametrize("scenario", FOR_EACH)
@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_each_rule(machine, rule, scenario):
    install(machine, rule)
    scenario(machine)
    wait_movable(machine)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_all_rules_without_ours(machine, scenario):
    install(machine, *[rule.name for rule in RULES], override=False)
    scenario(machine)
    wait_movable(machine)


def test_a_trigger_does_not_break_a_job_where_only_our_rule_is(machine):
    machine.plug_dimm("burst0")
    machine.wait_states("burst0", "online", "Movable")
    with machine.channel() as channel:
        job = prepare(channel, {"slot": machine.dimm("burst0")["slot"]})
        wait_job(channel, job, "ready")
        machine.shells.output("udevadm trigger --action=add --subsystem-match=memory; "
                              "udevadm settle")
        assert {block.state for block in machine.dimm_blocks("burst0").values()} == {"offline"}
        assert query(channel, job)["state"] == "ready"
        channel.call("memory-cancel-unplug", job=job)
    machine.wait_states("burst0", "online", "Movable")


@pytest.mark.parametrize("policy", ["kernel", "none"])
def test_our_rule_does_nothing_with_policy(machine, policy):
    daemon.stop(machine)
    daemon.configure(machine, policy=policy)
    machine.shells.output("memplugd --rule")  # as memplug-rule.service does
    machine.plug_dimm("burst0", DIMM_BYTES)
    machine.shells.output("udevadm settle")
    assert {block.state for block in machine.dimm_blocks("burst0").values()} == {"offline"}
    daemon.configure(machine)
    daemon.start(machine)
    machine.wait_states("burst0", "online", "Movable")

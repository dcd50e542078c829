"""Blocks are where the policy wants them, whoever else had a hand in it, over restarts too."""
import os

import pytest

import figures
from guest import GIB, MIB, QgaError, wait_until
from guest import daemon

# RAM above 4 GiB: where the guest has a Normal zone of its own, the kernel seldom puts what it
# cannot move into a block that is online there for a moment.
GUEST = {"memory": "3G"}
SOAK = os.environ.get("SOAK") == "1"
SETTINGS = ("devices/system/memory/auto_online_blocks",
            "module/memory_hotplug/parameters/online_policy",
            "module/memory_hotplug/parameters/auto_movable_ratio")
FLAG = "/sys/devices/system/memory/auto_online_blocks"


def settings(guest):
    return guest.shells.output("cd /sys; cat " + " ".join(SETTINGS)).split()


@pytest.fixture
def fresh(guest, shared):
    """A guest whose daemon has been started anew with the defaults; what a test plugs goes away."""
    daemon.wait_ready(guest)
    with_daemon(guest)
    yield guest
    for dimm in [device["data"]["id"] for device in guest.qmp.command("query-memory-devices")]:
        for index, block in guest.dimm_blocks(dimm).items():
            if guest.set_block(index, "offline")[0] != 0 and block.zone != "Movable":
                shared.spoiled = True  # only a boot gets that DIMM out
                return
        guest.wait_deleted(dimm, guest.device_del(dimm))
    with_daemon(guest)


def with_daemon(guest, *arguments, **online):
    """Stops the daemon that runs, and starts another with this [online] group."""
    if daemon.is_running(guest):
        assert daemon.stop(guest) == 0
    daemon.configure(guest, **online)
    daemon.start(guest, *arguments)


def zones(guest, dimm):
    return {(block.state, block.zone) for block in guest.dimm_blocks(dimm).values()}


def wait_moved(guest, dimm, log_before):
    """Waits until each block of `dimm` is moved to Movable, or the daemon has said why it cannot be.

    Where the kernel has put something that it never moves, nobody can. Returns how many moved.
    """
    def settled():
        log = daemon.log(guest)[len(log_before):]
        blocks = guest.dimm_blocks(dimm)
        moved = {index for index, block in blocks.items()
                 if (block.state, block.zone) == ("online", "Movable")}
        stuck = {index for index, block in blocks.items()
                 if (block.state, block.zone) == ("online", "Normal")
                 and "block %d stays in the wrong zone" % index in log}
        return moved | stuck == set(blocks) and (moved, stuck)

    moved, stuck = wait_until(settled, "each block of %s to be moved or given up" % dimm, 300)
    figures.record("rezone", moved=len(moved), could_not_be_moved=len(stuck))
    return len(moved)


# A hand at the kernel's notifier, quick enough for it: as soon as the fourth block of the eject is
# offline every further one is refused, until the kernel has brought that one back.
SPOIL_EJECT = """
error=/sys/kernel/debug/notifier-error-inject/memory/actions/MEM_GOING_OFFLINE/error
fourth=/sys/devices/system/memory/memory%d/state
echo waiting
while read -r state <$fourth && [ "$state" != offline ]; do :; done
echo -16 >$error
while read -r state <$fourth && [ "$state" = offline ]; do :; done
echo 0 >$error
cut -d' ' -f1 /proc/uptime
all_movable() {
    for block in %s; do
        read -r state </sys/devices/system/memory/memory$block/state
        read -r zone </sys/devices/system/memory/memory$block/valid_zones
        [ "$state $zone" = "online Movable" ] || return 1
    done
}
until all_movable || grep -q 'block.*stays in the wrong zone' /run/memplugd.log; do
    sleep 0.02
done
cut -d' ' -f1 /proc/uptime
"""


def movable_again_after_s(guest, dimm):
    """A device_del of `dimm` fails half-way. Returns how long its blocks were not all Movable, or
    None where the daemon had to leave one, with a page in it that the kernel never moves."""
    guest.plug_dimm(dimm)
    blocks = sorted(guest.wait_states(dimm, "online", "Movable"))
    guest.shells.output(": >/run/memplugd.log")
    spoiler = guest.shell_start(SPOIL_EJECT % (blocks[3], " ".join(map(str, blocks))))
    spoiler.wait_output("waiting")
    mark = guest.device_del(dimm)
    wait_until(lambda: guest.eject_refusal(dimm, mark), "the guest to refuse the eject")
    status, output = spoiler.wait()
    assert status == 0, output
    assert "wrong zone" in daemon.log(guest), "no block was ever in Normal"
    if wait_moved(guest, dimm, "") < len(blocks):
        return None
    refused, movable = (float(line) for line in output.splitlines()[-2:])
    return movable - refused


def test_after_a_failed_device_del_all_is_movable_again_within_5_s(fresh):
    seconds = next(filter(None, (movable_again_after_s(fresh, dimm) for dimm in "abc")), None)
    assert seconds, "three times a block had to stay in Normal"
    figures.record("after a refused eject", movable_again_after_s="%.2f" % seconds)
    assert seconds < 5 or not SOAK  # a busy machine may take longer


def test_what_an_administrator_took_offline_stays_so_over_restarts(fresh):
    fresh.plug_dimm("dimm", 512 * MIB)
    blocks = sorted(fresh.wait_states("dimm", "online", "Movable"))
    # A choice is one only where the daemon has seen the block online: its file says so ("1").
    seen = "grep -q '^%d [0-9]* 1 ' /run/memplug/blocks" % blocks[1]
    wait_until(lambda: fresh.shell(seen)[0] == 0, "the daemon to see the block online")
    assert fresh.set_block(blocks[1], "offline") == (0, "")
    with_daemon(fresh)
    daemon.kill(fresh)
    daemon.start(fresh)
    daemon.stop(fresh)
    fresh.shells.output("mkdir -p /etc/udev/rules.d; : >/etc/udev/rules.d/39-memplug-online.rules; "
                        "udevadm control --reload")
    fresh.plug_dimm("late", 512 * MIB)
    fresh.wait_states("late", "offline")
    daemon.start(fresh)
    fresh.wait_states("late", "online", "Movable")
    states = {index: block.state for index, block in fresh.dimm_blocks("dimm").items()}
    assert states == {index: "offline" if index == blocks[1] else "online" for index in blocks}

    daemon.stop(fresh)
    fresh.plug_dimm("left", 512 * MIB)
    with_daemon_leaving(fresh)
    fresh.plug_dimm("new", 512 * MIB)
    fresh.wait_states("new", "online", "Movable")
    assert zones(fresh, "left") == {("offline", "Movable")} or \
        {state for state, _ in zones(fresh, "left")} == {"offline"}
    fresh.shells.output("rm /etc/udev/rules.d/39-memplug-online.rules; udevadm control --reload")


def with_daemon_leaving(guest):
    daemon.configure(guest, existing="leave")
    daemon.start(guest)


def test_the_kernels_settings_come_back(fresh):
    daemon.stop(fresh)
    fresh.shells.output("echo online >%s" % FLAG)
    before = settings(fresh)
    daemon.configure(fresh, policy="auto", movable_ratio="250")
    daemon.start(fresh)
    wait_until(lambda: settings(fresh) == ["online", "auto-movable", "250"], "policy auto")
    daemon.kill(fresh)
    assert settings(fresh) == ["online", "auto-movable", "250"]
    daemon.configure(fresh)
    daemon.start(fresh)
    wait_until(lambda: settings(fresh) == ["online_movable"] + before[1:], "policy movable")
    assert "kernel-auto-online" not in warnings(fresh)
    assert daemon.stop(fresh) == 0
    assert settings(fresh) == before
    fresh.shells.output("echo offline >%s" % FLAG)


def warnings(guest):
    with guest.channel() as channel:
        return {warning["code"]: warning["desc"]
                for warning in channel.call("memory-get-status")["warnings"]}


def test_what_was_online_in_a_kernel_zone_before_the_daemon_is_moved(fresh):
    daemon.stop(fresh)
    fresh.plug_dimm("dimm")
    fresh.wait_states("dimm", "online")  # by the rule, which would be in the way later
    fresh.shells.output("udevadm settle")
    for index in fresh.dimm_blocks("dimm"):
        fresh.set_block(index, "offline")
        assert fresh.set_block(index, "online_kernel") == (0, "")
    assert zones(fresh, "dimm") == {("online", "Normal")}
    with_daemon(fresh, rezone="no")
    assert zones(fresh, "dimm") == {("online", "Normal")}
    assert warnings(fresh)["kernel-zone-blocks"].endswith("so it cannot be unplugged")
    log = daemon.log(fresh)
    with_daemon(fresh)
    moved = wait_moved(fresh, "dimm", log)
    assert moved > 0
    # No advice to do what the daemon has just tried.
    told = warnings(fresh).get("kernel-zone-blocks", "")
    assert ("could not be moved out of it" in told) == (moved < len(fresh.dimm_blocks("dimm")))


def test_policies_at_run_time(fresh):
    with_daemon(fresh, "-a", daemon.ALLOW)
    with fresh.channel() as channel:
        assert channel.call("memory-get-policy") == {"policy": "movable", "rezone": True,
                                                     "movable-ratio": 301}
        channel.call("memory-set-policy", policy="kernel")
        fresh.plug_dimm("kernel", 256 * MIB)
        fresh.wait_states("kernel", "online", "Normal")
        channel.call("memory-set-policy", policy="none")
        wait_until(lambda: settings(fresh)[0] == "offline", "the kernel's own setting")
        fresh.plug_dimm("none", 256 * MIB)
        assert channel.call("memory-get-status")["policy"] == "none"
        fresh.shells.output("sleep 3")
        assert {state for state, _ in zones(fresh, "none")} == {"offline"}
        for bad in ({"policy": "Movable"}, {"movable_ratio": 0}, {"movable_ratio": 100001}):
            with pytest.raises(QgaError) as problem:
                channel.call("memory-set-policy", **bad)
            assert list(bad)[0].replace("_", "-") in problem.value.desc
        assert channel.call("memory-get-policy")["policy"] == "none"
        log = daemon.log(fresh)
        channel.call("memory-set-policy", policy="movable")
        fresh.wait_states("none", "online", "Movable")
        wait_moved(fresh, "kernel", log)


def test_the_kernels_floor_binds(fresh):
    with_daemon(fresh, kernel_floor_bytes=str(8 * GIB))
    fresh.plug_dimm("dimm", 256 * MIB)
    fresh.wait_states("dimm", "online", "Normal")
    assert "kernel-floor-bytes" in daemon.log(fresh)
    fresh.shells.output("sleep 1")
    assert zones(fresh, "dimm") == {("online", "Normal")}


def test_a_bad_setting_is_an_error_that_names_it(fresh):
    for key, value in (("policy", "Movable"), ("movable-ratio", "0"), ("movable-ratio", "3.01"),
                       ("existing", "yes"), ("rezone", "1"), ("kernel-floor-bytes", "64M")):
        fresh.shells.output("printf '[online]\\n%s=%s\\n' >/tmp/bad.conf" % (key, value))
        status, output = fresh.shell("memplugd -c /tmp/bad.conf -t /run/other")
        assert status == 1
        assert "/tmp/bad.conf" in output and "[online] %s" % key in output and value in output


def test_with_a_read_only_sys_it_warns_and_goes_on_reporting(fresh):
    daemon.stop(fresh)
    fresh.shells.output(": >/run/memplugd.log; mount -o remount,ro /sys")
    daemon.start(fresh)
    fresh.plug_dimm("dimm", 512 * MIB)
    with fresh.channel() as channel:
        wait_until(lambda: channel.call("memory-get-status")["offline"] == 512 * MIB,
                   "the agent to report the blocks")
    wait_until(lambda: "stays offline" in daemon.log(fresh), "the warning about the block")
    fresh.shells.output("mount -o remount,rw /sys")
    lines = daemon.log(fresh).splitlines()
    assert len([line for line in lines if "auto_online_blocks" in line and "cannot" in line]) == 1
    assert len([line for line in lines if "stays offline" in line]) == 1

"""The harness itself, on a guest without memplugd: what it reports is what the kernel does."""
import errno

import pytest

from guest import GIB, MIB, Guest
from guest.shell import ShellFailed
from guest.waiting import WaitedInVain


class StuckOnce(Guest):
    """Its kernel stands still in its first boot."""
    boots = 0

    def wait_booted(self):
        self.boots += 1
        if self.boots == 1:
            raise WaitedInVain("nothing")
        super().wait_booted()

    def console(self):
        stuck = "watchdog: BUG: soft lockup - CPU#1 stuck for 164s! [swapper/0:1]\n"
        return stuck if self.boots == 1 else super().console()


class NeverThere(Guest):
    """It does not boot for another reason."""

    def wait_booted(self):
        raise WaitedInVain("nothing")

    def console(self):
        return "watchdog: BUG: soft lockup - CPU#1 stuck for 164s! [memplugd:301]\n"


@pytest.fixture(scope="module")
def bare_guest(image):
    with StuckOnce(daemon=False, image=image) as guest:
        yield guest


@pytest.fixture
def dimm(bare_guest):
    """A fresh 1 GiB DIMM whose blocks are offline; taken away again."""
    bare_guest.plug_dimm("dimm")
    yield "dimm"
    for index, block in bare_guest.dimm_blocks("dimm").items():
        if block.state != "offline":
            bare_guest.shells.output("echo offline >/sys/devices/system/memory/memory%d/state"
                                     % index)
    if bare_guest.dimm("dimm"):
        bare_guest.wait_deleted("dimm", bare_guest.device_del("dimm"))


def online_movable(guest, dimm):
    for index in guest.dimm_blocks(dimm):
        assert guest.set_block(index, "online_movable") == (0, "")
    return guest.wait_states(dimm, "online", "Movable")


def test_only_a_kernel_that_stood_still_is_booted_again(bare_guest, image):
    assert bare_guest.boots == 2
    with pytest.raises(WaitedInVain):
        NeverThere(daemon=False, image=image).__enter__()


def test_boots_to_a_shell(bare_guest):
    assert bare_guest.shell("id -u") == (0, "0\n")
    assert bare_guest.shell("echo one; echo two >&2; exit 7") == (7, "one\ntwo\n")
    assert 800 * MIB < bare_guest.meminfo()["MemTotal"] < GIB


def test_udev_names_the_agents_port(bare_guest):
    assert bare_guest.shell("test -c /dev/virtio-ports/org.memplug.agent.0")[0] == 0


def test_a_failed_command_is_not_silent(bare_guest):
    with pytest.raises(ShellFailed):
        bare_guest.shells.output("false")


def test_a_stuck_command_leaves_the_other_shells(bare_guest):
    with pytest.raises(WaitedInVain):
        bare_guest.shell("echo $$ >/run/stuck; exec sleep 10000", timeout=1)
    assert bare_guest.shell("echo still here") == (0, "still here\n")
    bare_guest.shells.output("kill $(cat /run/stuck)")


def test_boot_memory_belongs_to_no_dimm(bare_guest):
    blocks = bare_guest.blocks()
    assert set(blocks) == set(range(8))
    assert all(block.state == "online" and block.slot is None for block in blocks.values())


def test_a_dimm_brings_eight_offline_blocks(bare_guest, dimm):
    blocks = bare_guest.dimm_blocks(dimm)
    assert len(blocks) == 8
    assert {block.state for block in blocks.values()} == {"offline"}
    assert {block.slot for block in blocks.values()} == {bare_guest.dimm(dimm)["slot"]}


def test_online_offline_and_delete(bare_guest, dimm):
    before = bare_guest.meminfo()["MemTotal"]
    blocks = online_movable(bare_guest, dimm)
    assert bare_guest.meminfo()["MemTotal"] - before == GIB
    for index in blocks:
        assert bare_guest.set_block(index, "offline")[0] == 0
    bare_guest.wait_states(dimm, "offline")
    event = bare_guest.wait_deleted(dimm, bare_guest.device_del(dimm))
    assert event["data"]["device"] == dimm
    assert set(bare_guest.blocks()) == set(range(8))


def test_an_injected_error_refuses_an_offline(bare_guest, dimm):
    index = min(online_movable(bare_guest, dimm))
    bare_guest.inject_error("MEM_GOING_OFFLINE", errno.EBUSY)
    status, output = bare_guest.set_block(index, "offline")
    bare_guest.inject_error("MEM_GOING_OFFLINE")
    assert status == 1 and "busy" in output
    assert bare_guest.blocks()[index].state == "online"
    assert bare_guest.set_block(index, "offline")[0] == 0


def test_a_pinned_page_keeps_an_offline_retrying(bare_guest, dimm):
    blocks = online_movable(bare_guest, dimm)
    pin = bare_guest.pin(blocks)
    writer = bare_guest.shell_start("echo offline >/sys/devices/system/memory/memory%d/state"
                                    % pin.block)
    with pytest.raises(WaitedInVain):
        writer.wait(timeout=8)
    assert bare_guest.blocks()[pin.block].state == "going-offline"

    writer.kill("TERM")
    writer.wait()
    assert bare_guest.blocks()[pin.block].state == "online"
    bare_guest.unpin(pin)
    assert bare_guest.set_block(pin.block, "offline")[0] == 0


def test_the_hog_takes_what_it_says(bare_guest):
    before = bare_guest.meminfo()["MemAvailable"]
    hog = bare_guest.shell_start("hog -l -r 200")
    hog.wait_output("ready 200")
    taken = before - bare_guest.meminfo()["MemAvailable"]
    hog.kill()
    hog.wait()
    assert 190 * MIB < taken < 260 * MIB
    assert bare_guest.oom_kills() == 0


def test_the_oom_killer_is_noticed(bare_guest):
    before = bare_guest.oom_kills()
    hog = bare_guest.shell_start("hog 3000")
    hog.wait()
    assert bare_guest.oom_kills() > before


def test_qmp_reports_a_refused_command(bare_guest):
    with pytest.raises(Exception, match="DeviceNotFound"):
        bare_guest.qmp.command("device_del", id="nothing")

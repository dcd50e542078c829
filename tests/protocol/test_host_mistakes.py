"""plug, unplug and resize as a hook calls them wrongly: what they say, and with which exit status."""
import json
import socket
import threading
from pathlib import Path

import pytest

from ctl import DONE, NO_CONNECTION, REFUSED, USAGE, run
from fake_vm import GIB, MIB, FakeVm


@pytest.fixture
def vm(tmp_path):
    """A guest of 1 GiB with two DIMMs of 256 MiB."""
    made = FakeVm(tmp_path)
    made.dimm("d0", 256 * MIB)
    made.dimm("d1", 256 * MIB)
    return made


def host(vm, *words):
    """Returns (exit status, standard output, standard error)."""
    return run("--host", "unix:" + vm.agent, "--qmp", "unix:" + vm.qmp, *words)


def untouched(vm):
    return not vm.deleted and not vm.added and not vm.requests


USAGES = {
    "no-size": (["plug", "abc"], "'abc' is no size such as 256M"),
    "an-empty-size": (["resize", ""], "'' is no size"),
    "no-block": (["plug", "100M"], "a DIMM of 100 MiB is no use to the guest: it takes whole "
                                   "blocks, which are of 128 MiB"),
    "nothing": (["plug", "0"], "a DIMM of 0 bytes"),
    "without-its-unit": (["plug", "256"], "a DIMM of 256 bytes"),
    "a-resize-without-its-unit": (["resize", "1400"], "is a unit missing?"),
    "a-resize-in-kib": (["resize", "1433600"], "1400 KiB is less than half of what the guest was "
                                               "started with, 1 GiB"),
    "an-empty-id": (["plug", "--id=", "128M"], "--id is empty"),
    "no-backend": (["plug", "--backend=", "128M"], "'' is no backend"),
    "a-backend-that-resize-needs-not": (["resize", "--backend=paper", "1536M"], "no backend"),
    "no-node": (["plug", "--backend=ram,host-nodes=x", "128M"], "no backend"),
    "nodes-the-wrong-way": (["plug", "--backend=ram,host-nodes=3-1", "128M"], "no backend"),
    "a-node-too-high": (["plug", "--backend=ram,host-nodes=0-128", "128M"], "no backend"),
    "named-twice": (["unplug", "d0", "slot0"], "'slot0' is named twice"),
    "nothing-named": (["unplug"], "one device or more"),
}


@pytest.mark.parametrize("words, said", USAGES.values(), ids=USAGES.keys())
def test_a_mistake_changes_nothing(vm, words, said):
    status, output, error = host(vm, *words)
    assert status == USAGE and said in error and not output and untouched(vm)


REFUSALS = {
    "unknown": (["unplug", "d7"], "QEMU has no memory device 'd7'; it has d0 (slot0), d1 (slot1)"),
    "one-of-two": (["unplug", "d0", "slot9"], "no memory device 'slot9'"),
    "an-id-twice": (["plug", "--id=d0", "128M"], "there is a device 'd0' already"),
    "too-much": (["resize", "99G"], "the guest's maxmem is 16 GiB"),
}


@pytest.mark.parametrize("words, said", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_is_a_report_too(vm, words, said):
    """With --json exit 1 always has one, and what it says on standard error is among its reasons."""
    status, output, error = host(vm, *words)
    assert status == REFUSED and said in error and not output
    status, output, error = host(vm, "--json", *words)
    report = json.loads(output)
    assert status == REFUSED and said in error and untouched(vm)
    assert said in report["reasons"][-1]["desc"] and report["by-hypervisor"] == vm.total()


def test_a_long_list_has_an_end(tmp_path):
    vm = FakeVm(tmp_path)
    for number in range(12):
        vm.dimm("d%d" % number, 128 * MIB)
    assert host(vm, "unplug", "x")[2].endswith("d7 (slot7) and 4 more\n")


def test_no_device_at_all(tmp_path):
    assert "it has none at all" in host(FakeVm(tmp_path), "unplug", "x")[2]


def test_no_slots(tmp_path):
    vm = FakeVm(tmp_path, slots=0)
    status, _, error = host(vm, "plug", "128M")
    assert status == REFUSED and "without slots" in error


def test_devices_that_nobody_can_take(vm):
    """A resize that they keep from its size names them."""
    listed = vm._qmp_query_memory_devices

    def fixed(arguments):
        devices = listed(arguments)
        devices[0]["data"]["hotpluggable"] = False
        del devices[1]["data"]["id"]
        return devices
    vm._qmp_query_memory_devices = fixed
    for words in (["resize", "1G"], ["resize", "--dry-run", "1G"]):
        _, output, _ = host(vm, "--json", *words)
        told = [reason["desc"] for reason in json.loads(output)["reasons"]]
        assert told == ["QEMU cannot unplug d0, 256 MiB: it is not hot-pluggable",
                        "QEMU cannot unplug a DIMM, 256 MiB: it was given no id"]
    assert "not hot-pluggable" in host(vm, "unplug", "d0")[2]
    assert "no id" in host(vm, "unplug", "slot1")[2] and untouched(vm)
    assert not json.loads(host(vm, "--json", "resize", "1400M")[1])["reasons"]


def test_a_range_of_nodes(vm):
    assert host(vm, "plug", "--backend=ram,policy=bind,host-nodes=0-2:5", "128M")[0] == DONE
    assert vm.added[0]["host-nodes"] == [0, 1, 2, 5]


def test_a_step_without_a_name(vm):
    """What QEMU would not make has no id."""
    def refuse(_):
        raise ValueError("no memory")
    vm._qmp_object_add = refuse
    status, output, _ = host(vm, "plug", "128M")
    assert status == REFUSED and output.startswith("new DIMM: not added, 128 MiB\n")
    assert "no memory" in output


def test_dry_run_leaves_even_what_is_left(vm):
    """What an earlier command left is removed by the next one that does something."""
    vm.backends["memplug-mem-left"] = 256 * MIB
    assert host(vm, "resize", "--dry-run", "2G")[0] == DONE and "memplug-mem-left" in vm.backends
    assert host(vm, "resize", str(vm.total()))[0] == DONE and "memplug-mem-left" not in vm.backends


# --- the wrong peer ---

def test_another_agent(vm):
    vm._agent = lambda command, arguments: {"error": {
        "class": "CommandNotFound", "desc": "The command %s has not been found" % command}}
    for words in (["plug", "128M"], ["unplug", "d0"], ["resize", "2G"]):
        status, _, error = host(vm, *words)
        assert status == REFUSED and "not memplugd, or may not be asked" in error and untouched(vm)


def listener(path, talk):
    """A socket whose clients are given to TALK, and kept."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen()

    def accept():
        while True:
            client, _ = made.accept()
            talk(client)
            listener.kept.append(client)
    threading.Thread(target=accept, daemon=True).start()
    return "unix:%s" % path


listener.kept = []


def test_peers_that_hang_up_or_are_not_there(vm):
    folder = Path(vm.qmp).parent
    gone = listener(folder / "gone", lambda client: client.close())
    good = ("unix:" + vm.agent, "unix:" + vm.qmp)
    for agent, qmp, said in ((gone, good[1], "it hung up"), (good[0], gone, "it hung up"),
                             ("unix:/nowhere", good[1], "cannot connect to /nowhere"),
                             (good[0], "unix:/nowhere", "cannot connect to /nowhere")):
        status, output, error = run("--host", agent, "--qmp", qmp, "--json", "resize", "2G")
        assert status == NO_CONNECTION and said in error and not output, error


def test_a_monitor_that_another_client_has(vm):
    """QEMU takes the second connection when the first has gone, and says nothing until then."""
    silent = listener(Path(vm.qmp).parent / "taken", lambda client: None)
    status, _, error = run("--host", "unix:" + vm.agent, "--qmp", silent, "resize", "2G")
    assert status == NO_CONNECTION and "another client has it" in error


def test_the_guest_is_reset_at_the_very_end(tmp_path):
    """While it is asked for its last word: what virtio-mem gave is lost, and QEMU's figure says so."""
    vm = FakeVm(tmp_path)
    vm.virtio_mem("vm0", 2 * GIB)
    seen = []

    def reset(side, command):
        if side == "agent" and vm.requests:
            seen.append(command)
        if seen[-2:] == ["memory-get-devices", "memory-get-status"]:
            vm.devices["vm0"]["size"] = 0
    vm.on_command = reset
    status, output, _ = host(vm, "--json", "resize", "2G")
    assert status == REFUSED and vm.total() == GIB
    assert json.loads(output)["by-hypervisor"] == GIB

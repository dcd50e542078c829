"""plug, unplug and resize from the host: by the hypervisor's figures, whatever the guest says."""
import json
import os
import random
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ctl import DONE, NO_CONNECTION, REFUSED, USAGE, run, start
from fake_vm import BLOCK, GIB, MIB, FakeVm, wait_for

SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().getrandbits(31)
ROUNDS = 300 if os.environ.get("SOAK") else 40


# What has to wait for 30 s of standstill: all of these begin together and are looked at one by one.
SLOW = {}


def slow(scenario):
    """Registers a function of an FakeVm that waits long."""
    SLOW[scenario.__name__] = scenario
    return scenario


@pytest.fixture(scope="module", autouse=True)
def slow_runs(tmp_path_factory):
    """The scenarios' futures by name."""
    with ThreadPoolExecutor(len(SLOW)) as pool:
        yield {name: pool.submit(scenario, FakeVm(tmp_path_factory.mktemp(name)))
               for name, scenario in SLOW.items()}


@pytest.fixture
def vm(tmp_path):
    """A guest of 1 GiB with nothing plugged."""
    return FakeVm(tmp_path)


def host(vm, *words):
    """Returns (exit status, report, standard error)."""
    status, output, error = run("--host", "unix:" + vm.agent, "--qmp", "unix:" + vm.qmp, "--json",
                                *words)
    return status, json.loads(output) if output.strip() else None, error


def dimms(vm, *sizes):
    """DIMMs d0, d1 … of so many MiB."""
    for number, size in enumerate(sizes):
        vm.dimm("d%d" % number, size * MIB)


# --- to the digit ---

def test_the_documented_example(vm):
    """oVirt's: 1 GiB and 256, 256, 128, 128; 1400 asked for; 256 and 128 go, and 1408 stay."""
    dimms(vm, 256, 256, 128, 128)
    status, report, _ = host(vm, "resize", "1400M")
    assert status == DONE
    assert (report["wanted"], report["by-hypervisor"], report["by-guest"], report["shortfall"]) == (
        1400 * MIB, 1408 * MIB, 1408 * MIB, 0)
    assert sorted(step["bytes"] for step in report["steps"]) == [128 * MIB, 256 * MIB]
    assert {(step["action"], step["result"]) for step in report["steps"]} == {("unplug", "done")}
    assert vm.total() == 1408 * MIB


def test_the_last_line(vm):
    dimms(vm, 256, 256, 128, 128)
    status, output, _ = run("--host", "unix:" + vm.agent, "--qmp", "unix:" + vm.qmp, "resize",
                            "1400M")
    assert status == DONE
    assert output.splitlines()[-1] == (
        "asked for 1400 MiB: 1408 MiB by QEMU, 1408 MiB by the guest")


def test_exact_not_greedy(vm):
    """{512, 384, 384} with 768 to free is 384 + 384, not 512."""
    dimms(vm, 512, 384, 384)
    status, report, _ = host(vm, "resize", str(1024 * MIB + 512 * MIB))
    assert status == DONE and report["by-hypervisor"] == 1536 * MIB
    assert sorted(vm.deleted) == ["d1", "d2"]


def test_nothing_fits(vm):
    """Never below the size: the nearest one is the one there is."""
    dimms(vm, 256)
    status, report, _ = host(vm, "resize", "1100M")
    assert status == DONE and report["by-hypervisor"] == 1280 * MIB and not vm.deleted


@pytest.mark.parametrize("command", [["--dry-run"], []])
def test_a_busy_dimm_is_avoided_and_named(vm, command):
    dimms(vm, 256, 256, 128, 128)
    vm.busy["d0"] = [{"code": "busy-pages", "desc": "pinned", "device": "slot0"}]
    status, report, _ = host(vm, "resize", *command, "1400M")
    assert status == DONE
    assert "d0" not in vm.deleted and "pinned" in json.dumps(report["reasons"])
    assert vm.total() == (1792 * MIB if command else 1408 * MIB)
    assert {step["result"] for step in report["steps"]} == {"planned" if command else "done"}


def test_too_many_are_busy(vm):
    """As near as it goes, and exit 1."""
    dimms(vm, 256, 128)
    vm.busy["d0"] = [{"code": "busy-pages", "desc": "pinned", "device": "slot0"}]
    status, report, _ = host(vm, "resize", "1G")
    assert status == REFUSED and vm.deleted == ["d1"]
    assert report["shortfall"] == 256 * MIB and "pinned" in json.dumps(report)


@pytest.mark.parametrize("words", [["resize", "1152M"], ["resize", "--best-effort", "1152M"]])
def test_again_without_the_one_that_failed(vm, words):
    """The kernel refuses one that the guest called ready: the rest of the plan goes on, exit 1."""
    dimms(vm, 256, 256)
    vm.refuses.add("d0")
    status, report, _ = host(vm, *words)
    assert status == (DONE if "d0" not in [s["device"] for s in report["steps"]] else REFUSED)
    assert vm.deleted == ["d1"] and vm.total() == 1280 * MIB


# --- what it will not believe ---

def mutations(value):
    """Values that VALUE could be instead, one lie each."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [0, 1, -1, value + BLOCK, value * 2 + 1, 3, 4 * GIB, (1 << 63) - 1, "1", None]
    if isinstance(value, str):
        return ["", "slot1", "slot0", "ready", "unplugged", "failed", "x" * 5000, "\x1b[2J", 7]
    if isinstance(value, list):
        return [[], value[1:], value + value, value[::-1], {}]
    return [{}, [], None, 5]


def places(value, path=()):
    """The paths of all values in VALUE."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(
        value, list) else ()
    for key, item in items:
        yield from places(item, path + (key,))


def change(value, path, make):
    """A copy of VALUE with make(what is at PATH) there."""
    if not path:
        return make(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = change(value[path[0]], path[1:], make)
    return copy


SPOKEN = ["memory-get-status", "memory-get-devices", "memory-plan-unplug", "memory-prepare-unplug",
          "memory-query-unplug", "memory-check-unplug", "memory-cancel-unplug", "memory-set-events"]


def lie_at_random(rng, command_lied_about):
    """A function that changes a value or more of each answer to that command, and now and then
    forgets devices too."""
    lies, forgets = rng.choice([1, 1, 3]), rng.random() < 0.25

    def lie(command, returned):
        if isinstance(returned, dict) and "error" in returned:
            return returned
        if command == command_lied_about:
            for _ in range(lies):
                path = rng.choice(list(places(returned)))
                returned = change(returned, path, lambda value: rng.choice(mutations(value)))
        elif forgets and command == "memory-get-devices":
            returned = rng.sample(returned, len(returned) // 2)
        return returned
    return lie


@pytest.mark.parametrize("command", SPOKEN)
def test_a_liar_can_refuse_and_nothing_else(tmp_path, command):
    """One lie in each answer, at random: nothing goes but what was named, or what the size allows;
    nothing comes beyond a block above what was asked; exit 0 only where QEMU has what was asked."""
    rng = random.Random("%d %s" % (SEED, command))
    print("SEED=%d" % SEED)
    for number in range(max(ROUNDS // 8, 5)):
        folder = tmp_path / str(number)
        folder.mkdir()
        vm = FakeVm(folder)
        dimms(vm, 256, 512, 128)
        before = vm.total()
        vm.lie = lie_at_random(rng, command)
        kind = rng.choice(["unplug", "shrink", "grow", "plug"])
        wanted = {"shrink": before - 400 * MIB, "grow": before + 300 * MIB}.get(kind)
        words = {"unplug": ["unplug", "d1"], "plug": ["plug", "256M"]}.get(
            kind, ["resize", str(wanted)])
        began = time.monotonic()
        status, _, error = host(vm, "--timeout-ms=1", *words) if kind != "plug" else host(vm, *words)
        told = "%s, round %d: %s" % (words, number, error)
        assert time.monotonic() - began < 110, told
        assert status in (DONE, REFUSED, USAGE, NO_CONNECTION), told
        assert not set(vm.deleted) & {"d0", "d1", "d2"} or kind in ("unplug", "shrink"), told
        if kind == "unplug":
            assert set(vm.deleted) <= {"d1"} and not vm.added, told
            assert status != DONE or vm.deleted == ["d1"], told
        elif kind == "shrink":
            assert vm.total() >= wanted and not vm.added, told
            assert status != DONE or vm.total() == before - 384 * MIB, told
        elif kind == "grow":
            assert vm.total() <= wanted + 2 * GIB, told
            assert status != DONE or vm.total() >= wanted, told
        else:
            assert vm.total() <= before + 256 * MIB, told
            assert status != DONE or vm.total() == before + 256 * MIB, told
        assert set(vm.backends) == {device["memdev"] for device in vm.devices.values()}, told


def test_the_plan_may_not_name_others(vm):
    """A plan that names all of them: the choice is made without it."""
    dimms(vm, 256, 256, 512)
    vm.lie = lambda command, returned: (
        {"bytes": 256 * MIB, "devices": ["slot0", "slot1", "slot2"], "excluded": []}
        if command == "memory-plan-unplug" else returned)
    status, report, _ = host(vm, "resize", str(vm.total() - 256 * MIB))
    assert status == DONE and len(vm.deleted) == 1 and report["by-hypervisor"] == 1792 * MIB


@pytest.mark.parametrize("block", [0, -1, 3, 3 * BLOCK, 4 * GIB, 256 * GIB, "128M", None])
def test_a_block_size_that_cannot_be(vm, block):
    vm.block = block
    status, _, error = host(vm, "resize", "5G")
    assert status == NO_CONNECTION and "block" in error and not vm.added
    assert host(vm, "plug", "256G")[0] == NO_CONNECTION and not vm.added


def test_two_lies_that_agree(vm):
    """Blocks that no DIMM fits, and no DIMM: nothing goes that was not to go."""
    dimms(vm, 256, 256)
    vm.lie = lambda command, returned: (
        {**returned, "block-size": 2 * GIB} if command == "memory-get-status"
        else [] if command == "memory-get-devices" else returned)
    status, report, _ = host(vm, "resize", str(vm.total()))
    assert status == REFUSED and not vm.deleted
    assert [reason["code"] for reason in report["reasons"]] == ["not-in-guest"] * 2


def test_a_refusal_without_a_reason(vm):
    """Something is said, also where the guest says nothing."""
    vm.virtio_mem("vm0", 2 * GIB, size=GIB)
    vm.lie = lambda command, returned: (
        {"ready-to-prepare": False} if command == "memory-check-unplug" else returned)
    status, report, _ = host(vm, "resize", "1G")
    assert status == REFUSED and not vm.requests and "not why" in report["reasons"][0]["desc"]


def test_a_job_that_ends_without_a_reason(vm):
    dimms(vm, 256)
    vm.job_state = "expired"
    status, report, _ = host(vm, "unplug", "d0")
    assert status == REFUSED and not vm.deleted
    assert report["reasons"][0]["desc"] == "the guest's job is expired, and it does not say why"


def test_growth_is_a_block_above_at_most(vm):
    vm.block = 2 * GIB
    status, report, _ = host(vm, "resize", "1100M")
    assert status == DONE and vm.total() == 3 * GIB and report["by-hypervisor"] == 3 * GIB


@slow
def offlining_for_ever(vm):
    """It ends, and nothing is deleted."""
    dimms(vm, 256)
    vm.job_state = "offlining"
    began = time.monotonic()
    status, report, _ = host(vm, "--timeout-ms=1000", "unplug", "d0")
    assert status == REFUSED and not vm.deleted and time.monotonic() - began < 60
    assert "memory-cancel-unplug" in vm.commands and "offlining" in json.dumps(report)


@slow
def prepare_has_an_end_too(vm):
    dimms(vm, 256)
    vm.job_state = "offlining"
    status, _, error = run("--host", "unix:" + vm.agent, "--timeout-ms=1", "prepare", "slot0")
    assert status == REFUSED and "offlining" in error


# --- unplug ---

def test_operands_are_the_hypervisors(vm):
    dimms(vm, 256, 256, 256)
    assert host(vm, "unplug", "slot1", "0x%x" % vm.devices["d2"]["addr"])[0] == DONE
    assert sorted(vm.deleted) == ["d1", "d2"]
    for word in ("slot1", "d1", "virtio0", "0x123", "slot7"):
        status, _, error = host(vm, "unplug", word)
        assert status == REFUSED and word in error


@slow
def a_device_that_stays(vm):
    """The job is given back, the sentence is true, and it ends."""
    dimms(vm, 256)
    vm.keeps.add("d0")
    status, report, _ = host(vm, "unplug", "d0")
    assert status == REFUSED and vm.jobs[1]["state"] == "cancelled"
    assert "may still do so" in json.dumps(report["steps"])


def test_a_flood_of_events(vm):
    """DEVICE_DELETED may drown; what QEMU has counts."""
    dimms(vm, 256)
    real = vm.event
    vm.event = lambda name, **data: [real("ACPI_DEVICE_OST", info={
        "device": "d0", "source": 1, "status": 0, "slot": "0", "slot-type": "DIMM"})
        for _ in range(3000)] if name == "DEVICE_DELETED" else real(name, **data)
    assert host(vm, "unplug", "d0")[0] == DONE and not vm.backends


def test_memory_that_qemu_does_not_let_go_of_at_once(vm):
    """DEVICE_DELETED comes a moment before the backend is free."""
    dimms(vm, 256)
    real, tries = vm._qmp_object_del, []

    def in_use(arguments):
        tries.append(arguments)
        if len(tries) < 3:
            raise ValueError("object is in use, can not be deleted")
        return real(arguments)
    vm._qmp_object_del = in_use
    assert host(vm, "unplug", "d0")[0] == DONE and not vm.backends


def test_a_dimm_that_the_guest_never_took(vm):
    """It is named, and unplug takes it back."""
    dimms(vm, 256, 256)
    vm.untaken.add("d1")
    status, report, _ = host(vm, "resize", str(vm.total()))
    assert status == REFUSED and "d1" in json.dumps(report["reasons"])
    assert report["by-guest"] == 1280 * MIB
    assert host(vm, "unplug", "d1")[0] == DONE and vm.deleted == ["d1"]


def test_a_dimm_that_the_guest_cannot_take(vm):
    """Its blocks do not fit there: it is taken back, and what is asked for is reached otherwise."""
    vm.dimm("odd", 64 * MIB)
    vm.untaken.add("odd")
    status, report, _ = host(vm, "resize", str(GIB + 64 * MIB))
    assert status == DONE and vm.deleted == ["odd"]
    assert report["by-hypervisor"] == report["by-guest"] == GIB + BLOCK


def test_a_shrink_takes_the_one_that_the_guest_never_took(vm):
    dimms(vm, 256, 256)
    vm.untaken.add("d1")
    assert host(vm, "resize", str(vm.total() - 256 * MIB))[0] == DONE
    assert vm.deleted == ["d1"]


# --- plug ---

def test_the_backend_is_like_the_ram(vm):
    vm.ram = {"share": True, "host-nodes": [1], "policy": "bind"}
    vm.ram_type = "memory-backend-memfd"
    vm.ram_properties = {"hugetlb": True, "hugetlbsize": 2 * MIB, "seal": True}
    assert host(vm, "plug", "256M")[0] == DONE
    added = vm.added[0]
    assert added["qom-type"] == "memory-backend-memfd" and added["share"] and added["hugetlb"]
    assert added["host-nodes"] == [1] and added["policy"] == "bind"
    assert added["hugetlbsize"] == 2 * MIB


def test_a_backend_that_is_nobodys_is_no_ram(vm):
    """Left by somebody else: it is neither imitated nor a node."""
    vm.backends["stray"] = 3 * GIB
    vm.ram = {"share": True}
    vm.ram_properties = {"memory-backend": "/objects/pc.ram"}
    status, report, _ = host(vm, "plug", "256M")
    assert status == DONE and vm.added[0]["share"] is True
    assert "--node" not in json.dumps(report)


def test_the_backend_as_told(vm):
    assert host(vm, "plug", "256M", "--backend=memfd,share=on,hugetlbsize=2M", "--id=x",
                "--node=1")[0] == DONE
    assert vm.added[0]["share"] is True and vm.added[0]["hugetlbsize"] == 2 * MIB
    assert vm.devices["x"]["node"] == 1
    assert host(vm, "plug", "256M", "--backend=paper")[0] == USAGE
    assert host(vm, "plug", "256M", "--id=x")[0] == REFUSED


def test_the_node_is_told(vm):
    """Two backends of RAM are two nodes: which one grows must not be a surprise."""
    vm.ram, vm.backends["ram-of-node-1"] = {"size": 512 * MIB}, 512 * MIB
    assert "--node" in json.dumps(host(vm, "plug", "256M")[1]["steps"])
    assert "--node" not in json.dumps(host(vm, "plug", "256M", "--node=1")[1]["steps"])


def test_slots_and_maxmem_are_told_first(tmp_path):
    vm = FakeVm(tmp_path, slots=1, maxmem=2 * GIB)
    status, _, error = host(vm, "plug", "1152M")
    assert status == REFUSED and "1 GiB at most" in error and "maxmem is 2 GiB" in error and not vm.added
    assert host(vm, "plug", "128M")[0] == DONE
    status, _, error = host(vm, "plug", "128M")
    assert status == REFUSED and "all 1 slots" in error and len(vm.added) == 1


def test_growth_can_be_taken_away_again(tmp_path):
    """Pieces of which each amount can be put together; a small growth costs one slot."""
    vm = FakeVm(tmp_path, slots=16)
    assert host(vm, "resize", "2G")[0] == DONE
    sizes = sorted(device["size"] // BLOCK for device in vm.devices.values())
    assert sizes == [1, 1, 2, 4]
    for wanted in range(2 * GIB - BLOCK, GIB - 1, -BLOCK):
        assert host(vm, "resize", str(wanted))[0] == DONE and vm.total() == wanted
        if len(vm.devices) < 4:
            break


def test_few_slots_are_not_spent_at_once(tmp_path):
    vm = FakeVm(tmp_path, slots=2)
    assert host(vm, "resize", "3G")[0] == DONE and len(vm.devices) == 1
    assert host(vm, "resize", str(3 * GIB + BLOCK))[0] == DONE and len(vm.devices) == 2
    status, _, error = host(vm, "resize", "4G")
    assert status == REFUSED and "all 2 slots" in error


def test_steps_within_the_plug_limit(vm):
    vm.plug_limit = 512 * MIB
    assert host(vm, "plug", "1G")[0] == DONE
    assert [added["size"] for added in vm.added] == [512 * MIB, 512 * MIB]


def test_the_limit_of_a_guest_that_tells_none(tmp_path):
    """48 GiB into 384 MiB would kill it: 768 MiB of descriptors. 12 GiB are fine."""
    vm = FakeVm(tmp_path, base=384 * MIB, maxmem=200 * GIB)
    status, report, _ = host(vm, "plug", "48G")
    assert status == REFUSED and sum(added["size"] for added in vm.added) == 12 * GIB
    assert "36 GiB more" in json.dumps(report["reasons"])


def test_no_memory_for_descriptors(vm):
    vm.plug_limit = 64 * MIB
    status, report, _ = host(vm, "plug", "4G")
    assert status == REFUSED and not vm.added and "4 GiB" in json.dumps(report["reasons"])


def test_an_odd_device_before(vm):
    """The next address is a multiple of the guest's block."""
    vm.dimm("odd", 100 * MIB)
    assert host(vm, "plug", "256M")[0] == DONE
    assert vm.devices["memplug-dimm0"]["addr"] % BLOCK == 0


@slow
def a_dimm_that_is_not_taken_is_taken_back(vm):
    vm.untaken.add("memplug-dimm0")
    status, report, _ = host(vm, "plug", "256M")
    assert status == REFUSED and vm.deleted == ["memplug-dimm0"] and not vm.backends
    assert "taken back" in json.dumps(report) or report["steps"][0]["result"] == "failed"


def test_what_an_earlier_run_left_is_removed(vm):
    vm.backends["memplug-mem-memplug-dimm0"] = 256 * MIB
    assert host(vm, "resize", "1G")[0] == DONE and not vm.backends


# --- virtio-mem ---

def test_virtio_mem_there_and_back(vm):
    """KubeVirt's: a guest of 1 GiB set to 2 GiB, and back."""
    vm.virtio_mem("vm0", 3 * GIB)
    status, report, _ = host(vm, "resize", "2G")
    assert status == DONE and vm.requests == [("vm0", GIB)] and not vm.added
    assert (report["by-hypervisor"], report["by-guest"]) == (2 * GIB, 2 * GIB)
    assert host(vm, "resize", "1G")[0] == DONE and vm.total() == GIB


@slow
def virtio_mem_stands_still(vm):
    """The shortfall and the guest's reasons; and the request is what was reached."""
    vm.virtio_mem("vm0", 2 * GIB, size=GIB)
    vm.stuck = 512 * MIB
    status, report, _ = host(vm, "resize", "1G")
    assert status == REFUSED and report["shortfall"] == 512 * MIB
    assert vm.requests == [("vm0", 0), ("vm0", 512 * MIB)]


def test_virtio_mem_is_checked_first(vm):
    vm.virtio_mem("vm0", 2 * GIB, size=GIB)
    vm.busy["vm0"] = [{"code": "low-memory", "desc": "too little", "device": "virtio0"}]
    status, report, _ = host(vm, "resize", "1G")
    assert status == REFUSED and not vm.requests and "too little" in json.dumps(report)
    assert host(vm, "resize", "--best-effort", "1G")[0] == REFUSED
    assert vm.requests == [("vm0", 0)]


def test_somebody_else_asks_virtio_mem_too(vm):
    """Their request is left alone, and said; nobody waits for what is not asked for any more."""
    vm.virtio_mem("vm0", 2 * GIB, size=GIB)
    vm.stuck = GIB

    def other(side, command):
        if command == "query-memory-devices" and vm.requests:
            vm.devices["vm0"]["requested"] = 512 * MIB
    vm.on_command = other
    status, report, _ = host(vm, "resize", "1G")
    assert status == REFUSED and vm.requests == [("vm0", 0)]
    assert [reason["code"] for reason in report["steps"][0]["reasons"]] == ["other-request"]
    assert "512 MiB now" in json.dumps(report)


def test_virtio_mem_of_two_kinds(vm):
    """What counts as success is what the order in which they are asked comes to."""
    vm.virtio_mem("small", 2 * GIB, size=GIB)
    vm.virtio_mem("large", 2 * GIB, size=GIB, block=GIB)
    status, report, _ = host(vm, "resize", str(GIB + 512 * MIB))
    assert status == DONE and report["by-hypervisor"] == GIB + 512 * MIB, report
    assert vm.requests == [("large", 0), ("small", 512 * MIB)]


def test_dry_run_changes_nothing(vm):
    vm.virtio_mem("vm0", 512 * MIB)
    status, report, _ = host(vm, "resize", "--dry-run", "2G")
    assert status == DONE and not vm.requests and not vm.added
    assert "memory-set-target" not in vm.commands
    assert sum(step["bytes"] for step in report["steps"]) == GIB


# --- in the middle ---

def test_qemu_goes(vm):
    dimms(vm, 256)
    vm.keeps.add("d0")
    vm.on_command = lambda side, command: vm.hang_up() if command == "device_del" else None
    status, report, error = host(vm, "unplug", "d0")
    assert status == NO_CONNECTION and "QEMU" in error and "by-hypervisor" not in report


@slow
def another_boot_has_other_jobs(vm):
    """The number is not used again: it may be another job's by then."""
    dimms(vm, 256)
    vm.job_state = "offlining"

    def boot_again(side, command):
        if command == "memory-query-unplug":
            vm.boot_id = "boot-2"
    vm.on_command = boot_again
    status, report, _ = host(vm, "unplug", "d0")
    assert status == REFUSED and "booted again" in json.dumps(report)
    assert "memory-cancel-unplug" not in vm.commands and not vm.deleted


def test_ctrl_c_gives_back(vm):
    dimms(vm, 256)
    vm.job_state = "offlining"
    process = start("--host", "unix:" + vm.agent, "--qmp", "unix:" + vm.qmp, "--json", "unplug", "d0")
    wait_for(lambda: "memory-query-unplug" in vm.commands, "the job")

    def cancelled(side, command):
        if command == "memory-cancel-unplug":
            vm.job_state = None
    vm.on_command = cancelled
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == REFUSED and not vm.deleted
    report = json.loads(process.stdout.read())
    assert "the job was cancelled" in json.dumps(report)


def test_ctrl_c_while_virtio_mem_moves(vm):
    vm.virtio_mem("vm0", 2 * GIB, size=GIB)
    vm.stuck = 512 * MIB
    process = start("--host", "unix:" + vm.agent, "--qmp", "unix:" + vm.qmp, "--json", "resize", "1G")
    wait_for(lambda: vm.requests, "the request")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == REFUSED
    assert vm.requests == [("vm0", 0), ("vm0", 512 * MIB)]


@slow
def a_guest_that_says_nothing_of_devices(vm):
    says_nothing(vm, "memory-get-devices")


@slow
def a_guest_that_says_nothing_to_prepare(vm):
    says_nothing(vm, "memory-prepare-unplug")


def says_nothing(vm, command):
    dimms(vm, 256)
    vm.silent.add(command)
    began = time.monotonic()
    status, _, error = host(vm, "unplug", "d0")
    assert status == NO_CONNECTION and "does not answer" in error and not vm.deleted
    assert time.monotonic() - began < 60

# --- peers that never come to an end ---

class Hostile:
    """A socket that says GREETING and then whatever TALK, a function of the connection, does."""

    def __init__(self, path, greeting, talk):
        self.path = str(path)
        self._greeting, self._talk = greeting, talk
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        client, _ = self._listener.accept()
        try:
            client.sendall(self._greeting)
            while True:
                request = json.loads(client.recv(65536).lstrip(b"\xff"))
                if request["execute"] != "guest-sync-delimited":
                    break
                client.sendall(b"\xff" + json.dumps(
                    {"return": request["arguments"]["id"]}).encode() + b"\n")
            while True:
                self._talk(client)
        except (OSError, ValueError):
            pass  # it has seen enough of us


def trickle(client):
    client.sendall(b" ")
    time.sleep(0.2)


def flood(client):
    client.sendall(b'{"event": "DEVICE_DELETED", "data": {}}\n' * 1000)


def huge(client):
    client.sendall(b"1" * (1 << 20))


def late(client):
    client.sendall(b'{"return": {}, "id": 99999}\n')
    time.sleep(0.05)


TALKS = {"trickle": trickle, "flood": flood, "huge": huge, "late": late}


@slow
def a_hostile_guest(vm):
    """It trickles, floods, sends a line without an end, or answers to something else."""
    each_talk(vm, lambda folder, talk: [
        "--host", "unix:" + Hostile(folder / ("agent." + talk.__name__), b"", talk).path,
        "--qmp", "unix:" + vm.qmp])


@slow
def a_hostile_monitor(vm):
    each_talk(vm, lambda folder, talk: [
        "--host", "unix:" + vm.agent, "--qmp",
        "unix:" + Hostile(folder / ("qmp." + talk.__name__), b'{"QMP": {}}\n', talk).path])


def each_talk(vm, target):
    """All of TALKS at once: each ends, without a connection."""
    folder = Path(vm.qmp).parent

    def one(talk):
        began = time.monotonic()
        status, _, error = run(*target(folder, talk), "resize", "2G")
        return talk.__name__, status, error, time.monotonic() - began
    with ThreadPoolExecutor(len(TALKS)) as pool:
        for name, status, error, took_s in pool.map(one, TALKS.values()):
            assert status == NO_CONNECTION and took_s < 60, (name, status, error, took_s)
    assert not vm.added and not vm.deleted


@pytest.mark.parametrize("name", sorted(SLOW))
def test_it_ends(slow_runs, name):
    """Each wait has an end; what the scenario says of it holds."""
    slow_runs[name].result(300)

"""memory-plan-unplug: the exact best choice of DIMMs, and the emptiest of equals."""
import pytest

from guest import MIB
from guest.jobs import prepare, wait_job


@pytest.fixture
def dimms(guest, agent):
    """Plugs DIMMs of these sizes in MiB, one after the other; takes them all away again."""
    plugged = []

    def plug(*sizes_mib):
        for size in sizes_mib:
            name = "dimm%d" % len(plugged)
            plugged.append(name)
            guest.plug_dimm(name, size * MIB)
            guest.wait_states(name, "online", "Movable")
        return ["slot%d" % guest.dimm(name)["slot"] for name in plugged]

    yield plug
    job = prepare(agent, *[{"slot": guest.dimm(name)["slot"]} for name in plugged])
    wait_job(agent, job, "ready")
    for name in plugged:
        guest.wait_deleted(name, guest.device_del(name))
    wait_job(agent, job, "unplugged")


def sizes(guest, plan):
    by_slot = {"slot%d" % device["data"]["slot"]: device["data"]["size"]
               for device in guest.qmp.command("query-memory-devices")}
    assert sum(by_slot[name] for name in plan["devices"]) == plan["bytes"]
    return sorted(by_slot[name] // MIB for name in plan["devices"])


def test_ovirts_documented_example(guest, agent, dimms):
    dimms(256, 256, 128, 128)
    plan = agent.call("memory-plan-unplug", bytes=392 * MIB)
    assert plan["bytes"] == 384 * MIB
    assert sizes(guest, plan) == [128, 256]
    assert plan["next-above"]["bytes"] == 512 * MIB
    more = agent.call("memory-plan-unplug", bytes=392 * MIB, allow_more=True)
    assert more["bytes"] == 512 * MIB and "next-above" not in more
    reasons = {entry["device"]: {reason["code"] for reason in entry["reasons"]}
               for entry in plan["excluded"]}
    assert reasons == {"boot": {"boot-memory"}}
    # A plan is what can be prepared.
    job = prepare(agent, *[{"id": name} for name in plan["devices"]])
    wait_job(agent, job, "ready")
    assert agent.call("memory-plan-unplug", bytes=384 * MIB)["excluded"] != plan["excluded"]
    agent.call("memory-cancel-unplug", job=job)
    wait_job(agent, job, "cancelled")


def test_where_greedy_frees_less(guest, agent, dimms):
    dimms(512, 384, 384)
    plan = agent.call("memory-plan-unplug", bytes=768 * MIB)
    assert sizes(guest, plan) == [384, 384]


def test_the_emptiest_of_equals(guest, agent, dimms):
    first, = dimms(256)
    hog = guest.shell_start("hog 180")  # Movable comes first, and this DIMM is all of it
    hog.wait_output("ready")
    _, second = dimms(256)
    assert agent.call("memory-plan-unplug", bytes=256 * MIB)["devices"] == [second]
    hog.kill()
    hog.wait()
    assert first != second

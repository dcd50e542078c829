"""What clients do at the same time, or twice, or to the wrong job."""
import pytest

from guest import GIB, QgaError
from guest.jobs import ENDED, codes, prepare, query, wait_job
from guest.waiting import wait_until

QUERIES = 10000


@pytest.fixture
def second(guest, agent, dimm):
    """A second DIMM beside `dimm`."""
    guest.plug_dimm("second", GIB // 2)
    guest.wait_states("second", "online", "Movable")
    yield "second"
    agent.close()  # the port takes one connection at a time
    with guest.channel() as channel:
        record = wait_job(channel, prepare(channel, slot(guest, "second")), "ready")
        guest.wait_deleted("second", guest.device_del("second"))
        wait_job(channel, record["job"], "unplugged")


def slot(guest, dimm):
    return {"slot": guest.dimm(dimm)["slot"]}


def give_back(agent, *jobs):
    for job in jobs:
        agent.call("memory-cancel-unplug", job=job)
        wait_job(agent, job, "cancelled")


def test_two_requests_at_once(guest, agent, dimm, second):
    """For two DIMMs: one after the other, both ready. For one DIMM: the second is refused."""
    for name in (dimm, second, dimm):
        agent.send("memory-prepare-unplug", devices=[slot(guest, name)])
    jobs = [agent.receive()["job"] for _ in range(3)]
    assert jobs == sorted(set(jobs))
    wait_job(agent, jobs[0], "ready")
    wait_job(agent, jobs[1], "ready")
    assert codes(wait_job(agent, jobs[2], "failed")) == {"already-preparing"}
    guest.wait_states(dimm, "offline")
    guest.wait_states(second, "offline")
    give_back(agent, *jobs[:2])


def test_the_same_key_twice(guest, agent, dimm, second):
    job = prepare(agent, slot(guest, dimm), key="mine", lease_ms=600000)
    assert prepare(agent, slot(guest, dimm), key="mine") == job
    assert query(agent, job)["key"] == "mine"
    wait_job(agent, job, "ready")
    assert prepare(agent, slot(guest, dimm), key="mine", lease_ms=3600000) == job
    assert query(agent, job)["lease-left-ms"] > 600000, "the lease was not renewed"
    with pytest.raises(QgaError, match="key"):
        prepare(agent, slot(guest, second), key="mine")
    assert prepare(agent, slot(guest, second), key="another") != job
    give_back(agent, job, max(record["job"] for record in agent.call("memory-query-unplug")))
    assert prepare(agent, slot(guest, dimm), key="mine") != job, "a job that has ended was answered"
    give_back(agent, max(record["job"] for record in agent.call("memory-query-unplug")))


def test_a_device_named_twice(guest, agent, dimm):
    device = guest.dimm(dimm)
    names = [slot(guest, dimm), {"address": device["addr"], "size": device["size"]},
             {"id": "slot%d" % device["slot"]}]
    for other in names:
        with pytest.raises(QgaError, match=r"devices\[1\]"):
            prepare(agent, names[0], other)
    with pytest.raises(QgaError, match=r"devices\[1\]"):
        agent.call("memory-check-unplug", devices=[names[1], names[2]])


def test_cancel_in_every_state(guest, agent, dimm, second):
    with pytest.raises(QgaError, match="no job"):
        agent.call("memory-cancel-unplug", job=999999)

    pin = guest.pin(guest.dimm_blocks(dimm))
    offlining = prepare(agent, slot(guest, dimm), timeout_ms=600000)
    queued = prepare(agent, slot(guest, second))
    wait_job(agent, offlining, "offlining")
    assert query(agent, queued)["state"] == "queued"
    agent.call("memory-cancel-unplug", job=queued)
    assert query(agent, queued)["state"] == "cancelled"
    agent.call("memory-cancel-unplug", job=offlining)
    agent.call("memory-cancel-unplug", job=offlining)  # rolling back, or over
    wait_job(agent, offlining, "cancelled")
    guest.unpin(pin)

    ready = prepare(agent, slot(guest, dimm))
    wait_job(agent, ready, "ready")
    give_back(agent, ready)
    for ended in (queued, offlining, ready):
        agent.call("memory-cancel-unplug", job=ended)
        assert query(agent, ended)["state"] == "cancelled"
    guest.wait_states(dimm, "online", "Movable")
    guest.wait_states(second, "online", "Movable")


def test_ten_thousand_queries_during_one_job(guest, agent, dimm):
    pin = guest.pin(guest.dimm_blocks(dimm))
    job = prepare(agent, slot(guest, dimm), timeout_ms=600000)
    wait_job(agent, job, "offlining")
    in_flight = 50
    for sent in range(QUERIES):
        agent.send("memory-query-unplug", job=job)
        if sent >= in_flight:
            assert agent.receive()["state"] == "offlining"
    for _ in range(in_flight):
        assert agent.receive()["job"] == job
    guest.unpin(pin)
    wait_job(agent, job, "ready")
    give_back(agent, job)


def test_the_host_goes_away_after_ready(guest, agent, dimm):
    job = prepare(agent, slot(guest, dimm), lease_ms=6000)
    wait_job(agent, job, "ready")
    agent.close()
    guest.wait_states(dimm, "online", "Movable")
    with guest.channel() as channel:
        wait_job(channel, job, "expired")


def test_the_queue_is_finite(guest, agent, dimm, second):
    pin = guest.pin(guest.dimm_blocks(dimm))
    first = prepare(agent, slot(guest, dimm), timeout_ms=600000)
    wait_job(agent, first, "offlining")
    queued = [prepare(agent, slot(guest, second)) for _ in range(16)]
    with pytest.raises(QgaError, match="queued"):
        prepare(agent, slot(guest, second))
    for job in queued + [first]:
        agent.call("memory-cancel-unplug", job=job)
    wait_until(lambda: all(record["state"] in ENDED
                           for record in agent.call("memory-query-unplug")), "all jobs to end")
    guest.unpin(pin)
    guest.wait_states(dimm, "online", "Movable")


def mem_mib(guest):
    return int(guest.shells.output("free -m | grep -i mem").split()[1])


def mem_blks(indexes, online):
    return [{"online": online, "can-offline": True, "phys-index": index} for index in indexes]


def test_what_avocado_asks_of_memory_blocks(guest, agent, dimm):
    """gagent_check_set_mem_blocks, step by step: one block by hand, five by the agent, all of them back, and one
    that cannot go."""
    mib = agent.call("guest-get-memory-block-info")["size"] >> 20
    before, blocks = mem_mib(guest), agent.call("guest-get-memory-blocks")
    place = next(at for at, block in enumerate(blocks) if block["online"] and block["can-offline"])
    gone = [blocks[place]["phys-index"]]
    guest.shells.output("echo 0 >/sys/devices/system/memory/memory%d/online" % gone[0])
    blocks = agent.call("guest-get-memory-blocks")
    assert blocks[place]["online"] is False
    by_hand = mem_mib(guest)
    assert before - by_hand == mib
    more = [block["phys-index"] for block in blocks if block["online"] and block["can-offline"]][:5]
    assert len(more) >= 3
    assert {each["response"] for each in agent.call(
        "guest-set-memory-blocks", mem_blks=mem_blks(more, False))} == {"success"}
    assert mem_mib(guest) < by_hand
    assert {each["response"] for each in agent.call(
        "guest-set-memory-blocks", mem_blks=mem_blks(gone + more, True))} == {"success"}
    assert mem_mib(guest) == before
    stays = next(block["phys-index"] for block in agent.call("guest-get-memory-blocks")
                 if block["online"] and not block["can-offline"])
    result, = agent.call("guest-set-memory-blocks", mem_blks=mem_blks([stays], False))
    assert result["response"] == "operation-failed"
    guest.wait_states(dimm, "online", "Movable")

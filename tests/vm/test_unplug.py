"""The main job: plug, prepare, ready, device_del, DEVICE_DELETED, round after round."""
from guest import GIB
from guest.jobs import prepare, wait_job


def test_round_after_round(guest, agent, rounds):
    boot_blocks = guest.blocks()
    for number in range(rounds):
        dimm = "dimm%d" % number
        slot = guest.plug_dimm(dimm)["slot"]
        guest.wait_states(dimm, "online", "Movable")

        job = prepare(agent, {"slot": slot})
        record = wait_job(agent, job, "ready")
        blocks = guest.dimm_blocks(dimm)
        assert len(blocks) == 8
        assert {block.state for block in blocks.values()} == {"offline"}, "ready was not true"
        assert (record["blocks-done"], record["blocks-total"]) == (8, 8)
        assert record["bytes"] == GIB
        assert record["lease-left-ms"] > 0

        guest.wait_deleted(dimm, guest.device_del(dimm))
        wait_job(agent, job, "unplugged")
        assert guest.blocks() == boot_blocks
    assert guest.oom_kills() == 0


def test_the_memory_in_use_moves_elsewhere(guest, agent, dimm):
    hog = guest.shell_start("hog -r 300")
    hog.wait_output("ready")
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]})
    wait_job(agent, job, "ready")
    guest.wait_deleted(dimm, guest.device_del(dimm))
    assert hog.status() is None
    assert guest.oom_kills() == 0
    hog.kill()
    hog.wait()


def test_two_dimms_are_one_job(guest, agent, dimm):
    guest.plug_dimm("second", GIB // 2)
    guest.wait_states("second", "online", "Movable")
    both = [guest.dimm(name) for name in (dimm, "second")]
    job = prepare(agent, {"slot": both[0]["slot"]},
                  {"address": both[1]["addr"], "size": both[1]["size"]})
    record = wait_job(agent, job, "ready")
    assert record["blocks-total"] == 12
    assert [device["state"] for device in record["devices"]] == ["ready", "ready"]
    for name in (dimm, "second"):
        guest.wait_states(name, "offline")
        guest.wait_deleted(name, guest.device_del(name))
    wait_job(agent, job, "unplugged")


def test_the_host_did_not_wait(guest, agent, dimm):
    """device_del while the job is still offlining: the kernel takes the rest itself."""
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]})
    guest.wait_deleted(dimm, guest.device_del(dimm))
    record = wait_job(agent, job, "unplugged")
    assert [device["state"] for device in record["devices"]] == ["unplugged"]

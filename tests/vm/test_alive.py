"""The agent answers while the kernel takes its time."""
from guest.jobs import prepare, query, wait_job
from guest.waiting import wait_until

# The daemon's worker, one process an attempt, as a path below /proc; nothing where there is none.
WORKER = ("grep -l \"^PPid:[[:space:]]*$(cat /run/memplugd.pid)$\" /proc/[0-9]*/status "
          "2>/dev/null || true")


def attempt(guest, index):
    """What names the attempt to offline block `index` that goes on now, or None."""
    worker = guest.shells.output(WORKER).strip()
    return worker if worker and guest.blocks()[index].state == "going-offline" else None


def test_pings_while_a_pinned_block_is_offlined(guest, agent, dimm):
    pin = guest.pin(guest.dimm_blocks(dimm))
    job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]}, timeout_ms=600000)

    def attempt_after(earlier):
        now = attempt(guest, pin.block)
        return now if now != earlier else None

    # Not the attempt under way but the next, so that the pings do not meet its end.
    first = wait_until(lambda: attempt_after(None), "an attempt to begin")
    second = wait_until(lambda: attempt_after(first), "the next attempt to begin")

    for _ in range(50):
        agent.send("guest-ping")
    agent.send("memory-query-unplug", job=job)
    assert [agent.receive() for _ in range(50)] == [{}] * 50
    assert agent.receive()
    assert attempt(guest, pin.block) == second, "the attempt ended before the pings"
    assert query(agent, job)["state"] == "offlining"

    guest.unpin(pin)
    wait_job(agent, job, "ready")

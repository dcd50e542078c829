"""Following an unplug job over the channel."""
from .waiting import PATIENCE_S, wait_until

# Where a test does not mean the deadline or the lease, neither may end its job on a slow machine.
GENEROUS = {"timeout_ms": 300000, "lease_ms": 600000}
ENDED = ("unplugged", "failed", "cancelled", "expired")


class UnexpectedEnd(AssertionError):
    """A job ended otherwise than it was waited for."""


def query(channel, job):
    """The record of one job, whether the agent answers with it or with a list of one."""
    answer = channel.call("memory-query-unplug", job=job)
    return answer[0] if isinstance(answer, list) else answer


def prepare(channel, *devices, **arguments):
    """memory-prepare-unplug; returns the job's id. None for an argument: the daemon's default."""
    given = {name: value for name, value in {**GENEROUS, **arguments}.items() if value is not None}
    return channel.call("memory-prepare-unplug", devices=list(devices), **given)["job"]


def wait_job(channel, job, *states, timeout=PATIENCE_S, seen=None):
    """Waits until the job is in one of `states` and returns its record.

    Each record goes to `seen`, where given. An end that is not in `states` fails at once.
    """
    def look():
        record = query(channel, job)
        if seen:
            seen(record)
        if record["state"] in ENDED and record["state"] not in states:
            raise UnexpectedEnd("job %s ended %s, not %s: %s"
                                % (job, record["state"], "/".join(states), record))
        return record if record["state"] in states else None

    return wait_until(look, "job %s to be %s" % (job, "/".join(states)), timeout)


def reasons(record):
    """Every reason of a job, those of its devices too."""
    found = list(record.get("reasons", []))
    for device in record.get("devices", []):
        found += [reason for reason in device.get("reasons", []) if reason not in found]
    return found


def codes(record):
    """The set of the reasons' codes."""
    return {reason["code"] for reason in reasons(record)}


def refused_prepare(guest, agent, dimm, count, error, **arguments):
    """A prepare of `dimm` that the kernel refuses with `error` once `count` blocks are offline.

    Returns the record of the failed job. Where the guest's program was too late to make the kernel
    refuse, the blocks are given back and all is done again.
    """
    blocks = " ".join(str(index) for index in guest.dimm_blocks(dimm))
    for _ in range(5):
        injector = guest.shell_start("refuse-after %d %d %s" % (count, error, blocks))
        injector.wait_output("watching")
        job = prepare(agent, {"slot": guest.dimm(dimm)["slot"]}, **arguments)
        record = wait_job(agent, job, "failed", "ready")
        injector.wait_output("refusing after")
        if record["state"] == "failed":
            return record
        guest.inject_error("MEM_GOING_OFFLINE")
        agent.call("memory-cancel-unplug", job=job)
        wait_job(agent, job, "cancelled")
    raise AssertionError("five times all blocks were offline before the kernel could refuse one")

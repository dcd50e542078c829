"""Following an unplug job over the channel."""
from .waiting import PATIENCE_S, wait_until

ENDED = ("unplugged", "failed", "cancelled", "expired")


class UnexpectedEnd(AssertionError):
    """A job ended otherwise than it was waited for."""


def query(channel, job):
    """The record of one job, whether the agent answers with it or with a list of one."""
    answer = channel.call("memory-query-unplug", job=job)
    return answer[0] if isinstance(answer, list) else answer


def prepare(channel, *devices, **arguments):
    """memory-prepare-unplug; returns the job's id."""
    return channel.call("memory-prepare-unplug", devices=list(devices), **arguments)["job"]


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

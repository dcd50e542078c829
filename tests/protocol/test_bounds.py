"""What a small request may make the daemon write: to the log, and into a reply."""
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from daemon import Daemon, wait_until

DEVICES = 256


@pytest.fixture(scope="module")
def flooded():
    """A daemon that was asked 64 times to prepare 256 devices that are not there."""
    with Daemon() as daemon:
        jobs = []
        for round_ in range(64):
            devices = [{"slot": 1000 * (round_ + 1) + n} for n in range(DEVICES)]
            jobs.append(daemon.ask("memory-prepare-unplug", devices=devices)["return"]["job"])
            wait_until(lambda: daemon.ask("memory-query-unplug", job=jobs[-1])["return"]["state"]
                       == "failed", "the job to fail")
        yield daemon, jobs


def test_reasons_of_a_job(flooded):
    """A job lists some of its reasons, and counts the others."""
    daemon, jobs = flooded
    reasons = daemon.ask("memory-query-unplug", job=jobs[0])["return"]["reasons"]
    assert len(reasons) <= 24
    rest = [reason for reason in reasons if "more reasons" in reason["desc"]]
    assert [reason["code"] for reason in rest] == ["no-such-device"]
    assert int(rest[0]["desc"].split()[1]) == DEVICES - 16


def test_lines_in_the_log(flooded):
    """Such requests write some hundreds of lines, not thousands."""
    daemon, _ = flooded
    assert len(daemon.log().splitlines()) <= 300
    assert "job %d: failed" % flooded[1][0] in daemon.log()


def test_one_query(flooded):
    """The answer about all jobs has the last ones, up to so many devices and reasons; one that it
    leaves out is told by its number."""
    daemon, jobs = flooded
    told = daemon.ask("memory-query-unplug")["return"]
    assert [job["job"] for job in told] == jobs[-len(told):]
    assert 4 < len(told) < len(jobs)
    assert sum(len(job["devices"]) for job in told) <= 4096
    assert len(json.dumps(told)) <= 512 * 1024
    assert daemon.ask("memory-query-unplug", job=jobs[0])["return"]["job"] == jobs[0]

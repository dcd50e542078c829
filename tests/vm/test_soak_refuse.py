"""The kernel refuses the Nth block, or two blocks hold a page that cannot move: all or nothing."""
import errno
import threading

import figures
from guest import GIB, MIB
from guest.jobs import codes, prepare, reasons, refused_prepare, wait_job
from guest.waiting import wait_until

GUEST = {"devices": ["-device", "virtio-balloon-pci,id=balloon"]}
N_BLOCKS = 8
TIMEOUT_MS = 30000  # each of the two attempts ends when no page has moved for 5 s, or a little later


def slot(guest, dimm):
    return {"slot": guest.dimm(dimm)["slot"]}


def assert_whole(guest, dimm):
    assert {(block.state, block.zone) for block in guest.dimm_blocks(dimm).values()} == {
        ("online", "Movable")}
    assert guest.oom_kills() == 0


def refuse_after(guest, agent, dimm, count, error, timeout_ms):
    record = refused_prepare(guest, agent, dimm, count, error, timeout_ms=timeout_ms)
    assert_whole(guest, dimm)
    guest.inject_error("MEM_GOING_OFFLINE")
    return record


def test_the_kernel_refuses_the_nth_block(guest, agent, dimm):
    for nth in range(1, N_BLOCKS + 1):
        # A driver that says no for good, which is not tried again.
        record = refuse_after(guest, agent, dimm, nth - 1, errno.EPERM, 300000)
        told = [reason for reason in reasons(record) if reason.get("errno") == errno.EPERM]
        assert len(told) == 1 and told[0]["block"] in guest.dimm_blocks(dimm)
    # One that may change its mind is asked until the deadline.
    record = refuse_after(guest, agent, dimm, 3, errno.EBUSY, TIMEOUT_MS)
    assert "timeout" in codes(record)
    assert any(reason.get("errno") == errno.EBUSY for reason in reasons(record))
    figures.record("injected refusals", blocks=N_BLOCKS, whole_rollbacks=N_BLOCKS + 1)
    job = prepare(agent, slot(guest, dimm))
    wait_job(agent, job, "ready")
    agent.call("memory-cancel-unplug", job=job)
    wait_job(agent, job, "cancelled")


class Pinger(threading.Thread):
    """guest-ping and a query of the job, over and over, until the job has ended."""

    def __init__(self, agent, job):
        super().__init__()
        self.record = None
        self.pings = 0
        self._agent = agent
        self._job = job
        self.start()

    def run(self):
        def seen(_):
            assert self._agent.call("guest-ping") == {}
            self.pings += 1

        self.record = wait_job(self._agent, self._job, "failed", seen=seen)


def test_two_pinned_blocks(guest, agent, dimm):
    blocks = sorted(guest.dimm_blocks(dimm))
    pins = [guest.pin(blocks[:4]), guest.pin(blocks[4:])]
    pinger = Pinger(agent, prepare(agent, slot(guest, dimm), timeout_ms=TIMEOUT_MS))
    pinger.join()
    record = pinger.record
    assert record, "the job did not fail as it should"
    assert_whole(guest, dimm)

    # The kernel's hot-plug worker is free at once.
    guest.plug_dimm("next", GIB // 2)
    guest.wait_states("next", "online", "Movable")

    assert "timeout" in codes(record)
    busy = {reason["block"]: reason["desc"] for reason in reasons(record)
            if reason["code"] == "busy-pages"}
    # Of the one whose attempt was under way at the deadline that is what is told.
    late = {reason["block"]: reason["desc"] for reason in reasons(record)
            if reason["code"] == "timeout" and "block" in reason}
    assert busy and set(busy) | set(late) >= {pin.block for pin in pins}
    assert record["elapsed-ms"] >= TIMEOUT_MS
    figures.record("two pinned blocks", timeout_ms=TIMEOUT_MS, failed_after_ms=record["elapsed-ms"],
                   pings_answered=pinger.pings, said="'%s'" % sorted(busy.items())[0][1])
    for pin in pins:
        guest.unpin(pin)
    record = wait_job(agent, prepare(agent, slot(guest, "next")), "ready")
    guest.wait_deleted("next", guest.device_del("next"))
    wait_job(agent, record["job"], "unplugged")


def test_huge_pages_are_named(guest, agent, dimm):
    """They fill what memory there is elsewhere, so those in the DIMM have nowhere to go."""
    guest.shells.output("echo 3 >/proc/sys/vm/drop_caches; echo 1 >/proc/sys/vm/compact_memory; "
                        "echo 700 >/proc/sys/vm/nr_hugepages")
    hog = guest.shell_start("hugehog")
    hog.wait_output("ready")
    verdict = agent.call("memory-check-unplug", devices=[slot(guest, dimm)])
    hog.kill()
    hog.wait()
    guest.shells.output("echo 0 >/proc/sys/vm/nr_hugepages")
    assert {"hugepages", "low-memory"} <= {reason["code"] for reason in verdict["reasons"]}


def test_a_balloon_is_a_warning(guest, agent, dimm):
    total = guest.qmp.command("query-balloon")["actual"]
    guest.qmp.command("balloon", value=total - 200 * MIB)
    wait_until(lambda: guest.qmp.command("query-balloon")["actual"] == total - 200 * MIB,
               "the balloon to inflate")
    verdict = agent.call("memory-check-unplug", devices=[slot(guest, dimm)])
    held = agent.call("memory-get-status")
    guest.qmp.command("balloon", value=total)
    wait_until(lambda: guest.qmp.command("query-balloon")["actual"] == total,
               "the balloon to deflate")
    # QEMU's "actual" is what the guest has by QEMU's count: RAM and DIMMs less the balloon.
    assert (held["balloon"], held["guest-current"]) == (200 * MIB, total - 200 * MIB)
    assert "balloon-driver" in [warning["code"] for warning in held["warnings"]]
    free = agent.call("memory-get-status")
    assert (free["balloon"], free["guest-current"]) == (0, total)
    assert "balloon-driver" not in [warning["code"] for warning in free["warnings"]]
    reason, = verdict["reasons"]
    assert (reason["code"], reason["bytes"]) == ("balloon-active", 200 * MIB)
    assert verdict["ready-to-prepare"] is True
    assert agent.call("memory-check-unplug", devices=[slot(guest, dimm)])["reasons"] == []


def test_a_strict_commit_limit(guest, agent, dimm):
    """What is committed would not fit under CommitLimit without the DIMM, though it is not touched."""
    limit = guest.meminfo()["CommitLimit"]
    guest.shells.output("echo 2 >/proc/sys/vm/overcommit_memory")
    reserver = guest.shell_start("reserve %d" % (limit // 2 // MIB + 100))
    reserver.wait_output("reserved")
    verdict = agent.call("memory-check-unplug", devices=[slot(guest, dimm)])
    reserver.kill()
    reserver.wait()
    guest.shells.output("echo 0 >/proc/sys/vm/overcommit_memory")
    reason, = verdict["reasons"]
    assert reason["code"] == "low-memory" and "CommitLimit" in reason["desc"]

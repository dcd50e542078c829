"""The report on the memory that people have: what it says is what QEMU and the kernel say, its
warnings are those that are true, and what a check says is what an unplug then does.

A guest boots once for each number of nodes and kind of device; in it the rest varies as it runs:

    nodes   1: the device is beside the boot memory; 2: it is all the memory of node 1
    device  DIMM, virtio-mem
    balloon none: no driver has it; idle: it holds nothing; inflated
    huge    none; free; reserved: mapped and not touched
    swap    none; disk; zram

Then come random rounds over the cells, with a process that rewrites its memory: after a check that
says ready no process may be killed for want of memory. SOAK=1 runs every cell of every guest and a
hundred rounds; else a few of one guest run.
"""
import itertools
import os
import random
import re

import pytest

import figures
from guest import MIB, Guest, wait_until
from guest.jobs import codes, prepare, wait_job

SOAK = os.environ.get("SOAK") == "1"
SIZE = 512 * MIB
PIECE = 2 * MIB
BALLOON, HUGE_PAGES, HOG_MIB = 200 * MIB, 64, 100
REPORT_ONLY_WARNINGS = {"balloon-active", "hugepages-lost", "last-of-node"}

GUESTS = list(itertools.product((1, 2), ("dimm", "virtio-mem")))
CELLS = list(itertools.product(("none", "idle", "inflated"), ("none", "free", "reserved"),
                               ("none", "disk", "zram")))
ROUNDS = 25 if SOAK else 2  # of a guest
SPREAD = [("none", "none", "none"), ("idle", "free", "disk"), ("inflated", "reserved", "zram"),
          ("inflated", "free", "none"), ("idle", "reserved", "disk"), ("none", "free", "zram")]


class Cell:
    """A guest that is brought from cell to cell. What is asked of QEMU and of the kernel is here,
    what memplugd says is not."""

    def __init__(self, guest, nodes, kind):
        self.guest, self.nodes, self.kind = guest, nodes, kind
        self.guests = [guest]  # a failure is told with their last words
        self.bare_total = self.total()
        self.balloon, self.huge, self.swap, self.reserver = "idle", "none", "none", None
        self.plug()

    def plug(self):
        if self.kind == "dimm":
            self.guest.plug_dimm("dimm", SIZE, node=self.nodes - 1)
            self.guest.wait_states("dimm", "online", "Movable")
        else:
            self.resize(SIZE)

    def resize(self, size_bytes, timeout=300):
        self.guest.qmp.command("qom-set", path="/machine/peripheral/vmem", value=size_bytes,
                               property="requested-size")
        wait_until(lambda: self.guest.dimm("vmem")["size"] == size_bytes,
                   "virtio-mem to have %d MiB" % (size_bytes // MIB), timeout)

    def selector(self):
        if self.kind == "dimm":
            return {"slot": self.guest.dimm("dimm")["slot"]}
        return {"address": self.guest.dimm("vmem")["memaddr"],
                "size": self.guest.dimm("vmem")["max-size"], "bytes": SIZE}

    def total(self):
        return self.guest.meminfo()["MemTotal"]

    def enter(self, balloon, huge, swap):
        for kind, wanted in (("swap", swap), ("huge", huge), ("balloon", balloon)):
            if getattr(self, kind) != wanted:
                getattr(self, "leave_" + kind)()
                getattr(self, "set_" + kind)(wanted)
                setattr(self, kind, wanted)

    # --- balloon ---

    def leave_balloon(self):
        self.guest.shells.output("cd /sys/bus/virtio; for it in devices/*; do grep -q 0x0005 "
                                 "$it/device && echo ${it##*/}; done >/run/balloon; "
                                 "ls drivers/virtio_balloon | grep -q ^virtio || "
                                 "cat /run/balloon >drivers/virtio_balloon/bind")
        self.inflate(0)

    def set_balloon(self, wanted):
        if wanted == "none":
            self.guest.shells.output(
                "cat /run/balloon >/sys/bus/virtio/drivers/virtio_balloon/unbind")
        self.inflate(BALLOON if wanted == "inflated" else 0)

    def inflate(self, size_bytes):
        self.guest.qmp.command("balloon", value=self.balloon_total() - size_bytes)
        wait_until(lambda: self.held() == size_bytes, "the balloon to hold it")

    def balloon_total(self):
        """QEMU leaves virtio-mem's memory out of the balloon's."""
        summary = self.guest.qmp.command("query-memory-size-summary")
        return summary["base-memory"] + (summary["plugged-memory"] if self.kind == "dimm" else 0)

    def held(self):
        return self.balloon_total() - self.guest.qmp.command("query-balloon")["actual"]

    # --- huge pages ---

    def leave_huge(self):
        if self.reserver:
            self.reserver.kill()
            self.reserver.wait()
            self.reserver = None
        self.guest.shells.output("echo 0 >/proc/sys/vm/nr_hugepages")

    def set_huge(self, wanted):
        if wanted == "none":
            return
        self.guest.shells.output("echo %d >/proc/sys/vm/nr_hugepages" % HUGE_PAGES)
        assert self.pool() == HUGE_PAGES
        if wanted == "reserved":
            self.reserver = self.guest.shell_start("hugehog -r")
            self.reserver.wait_output("ready %d" % HUGE_PAGES)

    def pool(self):
        return int(self.guest.shells.output("cat /proc/sys/vm/nr_hugepages"))

    # --- swap ---

    def leave_swap(self):
        self.guest.shells.output("for it in /dev/vda /dev/zram0; do swapoff $it; done 2>/dev/null; "
                                 "echo 1 >/sys/block/zram0/reset")

    def set_swap(self, wanted):
        if wanted == "disk":
            self.guest.shells.output("mkswap /dev/vda && swapon /dev/vda")
        elif wanted == "zram":
            self.guest.shells.output("echo 256M >/sys/block/zram0/disksize && mkswap /dev/zram0 && "
                                     "swapon /dev/zram0")


@pytest.fixture(scope="module", params=GUESTS if SOAK else GUESTS[2:3],
                ids="{0[0]}-node-{0[1]}".format)
def cell(request, memplugd_image, tmp_path_factory):
    nodes, kind = request.param
    disk = tmp_path_factory.mktemp("disk") / "swap"
    with open(disk, "wb") as file:
        file.truncate(256 * MIB)
    devices = ["-object", "memory-backend-ram,id=m0,size=1G", "-numa", "node,nodeid=0,memdev=m0,cpus=0-1",
               "-drive", "if=none,id=swap,format=raw,file=%s" % disk,
               "-device", "virtio-blk-pci,drive=swap", "-device", "virtio-balloon-pci,id=balloon"]
    if nodes == 2:
        devices += ["-numa", "node,nodeid=1"]
    if kind == "virtio-mem":
        devices += ["-object", "memory-backend-ram,id=vmem-ram,size=1G", "-device",
                    "virtio-mem-pci,id=vmem,memdev=vmem-ram,requested-size=0,node=%d" % (nodes - 1)]
    with Guest(image=memplugd_image, devices=devices) as guest:
        yield Cell(guest, nodes, kind)


def zones(guest):
    """What kernel zones have above their high watermarks, and what Movable zones have present."""
    free_bytes = movable_bytes = 0
    for part in re.split(r"^Node ", guest.shells.output("cat /proc/zoneinfo"), flags=re.M)[1:]:
        present, free, high = (int(re.search(r" %s +(\d+)\n" % name, part)[1]) * 4096
                               for name in ("present", "pages free", "high"))
        if "zone  Movable" in part:
            movable_bytes += present
        elif present:
            free_bytes += max(0, free - high)
    return free_bytes, movable_bytes


def is_between(figure, one, other):
    return min(one, other) - PIECE <= figure <= max(one, other) + PIECE


def check_moment(cell, agent):
    """The figures of a moment: TRUE where they lie between what the kernel says before and after."""
    before = cell.guest.meminfo()["MemAvailable"], zones(cell.guest)[0]
    status = agent.call("memory-get-status")
    after = cell.guest.meminfo()["MemAvailable"], zones(cell.guest)[0]
    return all(is_between(status[name], before[i], after[i])
               for i, name in enumerate(("available", "kernel-free")))


def check_figures(cell, agent):
    """Against QEMU and the kernel, within a piece."""
    summary = cell.guest.qmp.command("query-memory-size-summary")
    wait_until(lambda: abs(agent.call("memory-get-status")["guest-current"] - summary["base-memory"]
                           - summary["plugged-memory"] + cell.held()) <= PIECE, "guest-current")
    status = agent.call("memory-get-status")
    assert abs(status["guest-at-boot"] - summary["base-memory"]) <= PIECE
    assert abs(status["balloon"] - cell.held()) <= PIECE
    grown = cell.total() - cell.bare_total
    assert abs(grown - (SIZE - cell.held())) <= PIECE
    assert status["online-movable"] == zones(cell.guest)[1]
    if cell.kind == "virtio-mem":
        device, = [each for each in agent.call("memory-get-devices") if each["kind"] == cell.kind]
        assert device["plugged"] == cell.guest.dimm("vmem")["size"]
    wait_until(lambda: check_moment(cell, agent), "figures of a moment that the kernel has too", 60)
    assert [warning["code"] for warning in status["warnings"]] == (
        ["balloon-driver"] if cell.balloon == "inflated" else [])


def resize_away(cell, said):
    """To nothing and back; where that was refused, the device must come to a halt before."""
    seen = []

    def is_at_a_halt():
        seen.append(cell.guest.dimm("vmem")["size"])
        return len(seen) >= 5 and len(set(seen[-5:])) == 1

    if said:
        cell.resize(0)
    else:
        cell.guest.qmp.command("qom-set", path="/machine/peripheral/vmem", value=0,
                               property="requested-size")
        wait_until(is_at_a_halt, "virtio-mem to stand still", pause=1)
        assert seen[-1] > 0
    cell.resize(SIZE)


def check_word(cell, agent):
    """What a check says, its reasons' codes, and what becomes of the unplug. The device is back."""
    pool = cell.pool()
    verdict = agent.call("memory-check-unplug", devices=[cell.selector()])
    said, limit = verdict["ready-to-prepare"], agent.call("memory-get-status")["unplug-limit"]
    found = {reason["code"] for reason in verdict["reasons"]}
    assert said == (found <= REPORT_ONLY_WARNINGS)
    assert limit == (SIZE if said else limit) and (said or limit < SIZE)
    assert ("balloon-active" in found) == (cell.balloon == "inflated")
    assert ("last-of-node" in found) == (cell.nodes == 2)
    if cell.kind == "virtio-mem":
        resize_away(cell, said)
        return said, found
    record = wait_job(agent, prepare(agent, cell.selector()), "ready", "failed")
    assert said == (record["state"] == "ready"), (verdict, record)
    assert codes(record) >= found
    assert ("hugepages-lost" in found) == (said and cell.pool() < pool)
    if said:
        agent.call("memory-cancel-unplug", job=record["job"])
        wait_job(agent, record["job"], "cancelled")
        cell.guest.wait_states("dimm", "online", "Movable")
    assert cell.pool() == pool
    return said, found


def test_each_cell(cell):
    hog = cell.guest.shell_start("hog %d" % HOG_MIB)
    hog.wait_output("ready")
    table, wrong = [], []
    with cell.guest.channel() as agent:
        for names in CELLS if SOAK else SPREAD:
            cell.enter(*names)
            try:
                check_figures(cell, agent)
                said, found = check_word(cell, agent)
                table.append("%s: %s %s" % (names, "ready" if said else "refused", sorted(found)))
            except AssertionError as problem:
                wrong.append((names, problem))
                table.append("%s: WRONG %s" % (names, problem))
    print("\n".join(table))
    figures.record("matrix, %d nodes, %s" % (cell.nodes, cell.kind), cells=len(table),
                   right=len(table) - len(wrong), oom_kills=cell.guest.oom_kills())
    assert not wrong and cell.guest.oom_kills() == 0
    hog.kill()
    hog.wait()


def one_round(cell, dice, counts):
    cell.enter(*dice.choice(CELLS))
    # With less to spare the hog itself may be killed while it fills its memory.
    most = (cell.guest.meminfo()["MemAvailable"] // MIB - 300) // dice.choice((1, 3))
    hog = cell.guest.shell_start("hog -r %d" % dice.randint(16, max(17, most)))
    hog.wait_output("ready")
    with cell.guest.channel() as agent:
        if not agent.call("memory-check-unplug", devices=[cell.selector()])["ready-to-prepare"]:
            counts["refused"] += 1
        elif cell.kind == "virtio-mem":
            counts["ready"] += 1
            cell.resize(0)
            cell.resize(SIZE)
        else:
            record = wait_job(agent, prepare(agent, cell.selector()), "ready", "failed")
            counts[record["state"]] += 1
            if record["state"] == "ready":
                cell.guest.wait_deleted("dimm", cell.guest.device_del("dimm"))
                wait_job(agent, record["job"], "unplugged")
                cell.plug()
    if cell.kind == "dimm":
        cell.guest.wait_states("dimm", "online", "Movable")
    assert hog.status() is None, "the hog was killed"
    hog.kill()
    hog.wait()


def test_rounds(cell):
    seed = os.environ.get("SEED", str(random.randrange(1 << 32)))
    dice, counts = random.Random(seed), {"ready": 0, "failed": 0, "refused": 0}
    print("SEED=%s" % seed)
    for _ in range(ROUNDS):
        one_round(cell, dice, counts)
        assert cell.guest.oom_kills() == 0
    figures.record("matrix rounds, %d nodes, %s" % (cell.nodes, cell.kind), seed=seed, oom_kills=0,
                   **counts)

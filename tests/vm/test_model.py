"""The model is the guest: after any change the next answer, and the events, say what sysfs says.

The daemon's policy here is `none`, so that nothing changes but by the test.
"""
import os
import random
import threading
import time

import pytest

from guest import GIB, MIB, Archive
from guest.truth import Follower, check_answers, check_listed
from guest.waiting import wait_until

CONFIG = Archive()
CONFIG.file("etc/memplug/memplugd.conf", "[online]\npolicy=none\n")
CONFIG.file("etc/memplug/movable.conf", "[online]\npolicy=movable\n")

VIRTIO_MEM = ["-object", "memory-backend-ram,id=vmem-ram,size=4G,reserve=off",
              "-device", "virtio-mem-pci,id=vmem,memdev=vmem-ram,requested-size=0"]
GUEST = {"maxmem": "64G", "devices": VIRTIO_MEM, "overlays": [CONFIG]}
SOAK = os.environ.get("SOAK") == "1"
CHANGES = 1000 if SOAK else 100
CHURN_ANSWERS = 10000 if SOAK else 1000
SMALL = 256 * MIB


class Changes:
    """Random changes of the guest's memory; each is over in sysfs when it returns."""

    def __init__(self, guest, seed):
        self.counts = {}
        self._guest = guest
        self._random = random.Random(seed)
        self._dimms = []
        self._next = 0

    def make_one(self):
        possible = [self.toggle] * 6 + [self.resize] + [self.plug] * (len(self._dimms) < 6)
        possible += [self.unplug] * (len(self._dimms) > 2)
        change = self._random.choice(possible)
        change()
        self.counts[change.__name__] = self.counts.get(change.__name__, 0) + 1

    def toggle(self):
        """Writes the state of a block by hand, also of boot RAM, and whether that works or not."""
        blocks = self._guest.blocks()
        index = self._random.choice([index for index in blocks if index >= 8] or [7])
        words = ["online_movable", "online_kernel", "online"]
        word = self._random.choice(words) if blocks[index].state == "offline" else "offline"
        self._guest.set_block(index, word)

    def plug(self):
        self._next += 1
        self._guest.plug_dimm("d%d" % self._next, SMALL)
        self._dimms.append("d%d" % self._next)

    def unplug(self):
        dimm = self._dimms.pop(self._random.randrange(len(self._dimms)))
        for index, block in self._guest.dimm_blocks(dimm).items():
            if block.state != "offline" and self._guest.set_block(index, "offline")[0] != 0:
                self._dimms.append(dimm)  # its kernel zone is in use
                return
        self._guest.wait_deleted(dimm, self._guest.device_del(dimm))

    def resize(self):
        """virtio-mem takes and gives in units of 2 MiB, blocks come and go with them."""
        size = self._random.choice([0, 384 * MIB, 640 * MIB])
        self._guest.qmp.command("qom-set", path="/machine/peripheral/vmem",
                                property="requested-size", value=size)
        wait_until(lambda: self._settled(size), "virtio-mem to settle")

    def _settled(self, size):
        """Plugged as asked, and all its blocks there (an online kernel-zone block may refuse)."""
        plugged = self._guest.qmp.command("qom-get", path="/machine/peripheral/vmem",
                                          property="size")
        first = self._guest.blocks()
        time.sleep(0.3)
        return (plugged == size or plugged > size) and self._guest.blocks() == first

    def clear(self):
        while self._dimms:
            before = len(self._dimms)
            for _ in range(before):
                self.unplug()
            if len(self._dimms) == before:
                return


def test_the_next_answer_is_true_after_each_change(guest, agent):
    follower = Follower(agent)
    changes = Changes(guest, seed=4)
    for _ in range(CHANGES):
        changes.make_one()
        told = check_answers(agent, guest)
        follower.take()
        assert follower.online == {index: entry.state == "online"
                                   for index, entry in told.items()}
    assert set(changes.counts) == {"toggle", "plug", "unplug", "resize"}
    print(changes.counts)
    changes.clear()


class Churn:
    """A thread that plugs and unplugs a DIMM, and knows when its blocks may have been there."""

    def __init__(self, guest):
        self.windows = []  # [first block, behind the last, possible from, possible until]
        self.rounds = 0
        self._guest = guest
        self._stop = threading.Event()
        self._problem = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        if self._problem:
            raise self._problem

    def may_exist(self, index, since, until):
        return any(first <= index < end and begin <= until and (over is None or over >= since)
                   for first, end, begin, over in list(self.windows))

    def _run(self):
        try:
            while not self._stop.is_set():
                self._round()
        except BaseException as problem:  # pylint: disable=broad-except
            self._problem = problem

    def _round(self):
        name = "churn%d" % self.rounds
        begin = time.monotonic()
        # Before it is known where QEMU puts it, anything above boot RAM may be it.
        window = [8, 1 << 32, begin, None]
        self.windows.append(window)
        self._guest.add_dimm(name, GIB)
        device = self._guest.dimm(name)
        block = self._guest.block_size()
        window[:2] = [device["addr"] // block, (device["addr"] + device["size"]) // block]
        wait_until(lambda: len(self._guest.dimm_blocks(name)) == GIB // block, "the blocks")
        self._guest.wait_deleted(name, self._guest.device_del(name))
        window[3] = time.monotonic()
        del self.windows[:-100]  # an answer does not take that long
        self.rounds += 1


def test_answers_hold_while_dimms_come_and_go(guest, agent):
    # Of an earlier test's, where a kernel zone in use kept a DIMM.
    others = set(guest.blocks())
    with Churn(guest) as churn:
        sizes = set()
        asked = 0
        while asked < CHURN_ANSWERS or churn.rounds < 3:
            since = time.monotonic()
            listed = agent.call("guest-get-memory-blocks")
            until = time.monotonic()
            indices = list(check_listed(listed))
            assert others <= set(indices)
            for index in set(indices) - others:
                assert churn.may_exist(index, since, until), "block %d was not there" % index
            sizes.add(len(indices))
            asked += 1
    print("%d answers, %d rounds, %s blocks" % (asked, churn.rounds, sorted(sizes)))
    assert len(sizes) > 1, "the answers saw no change at all"


@pytest.fixture
def tiny_buffer(guest):
    """The daemon again, policy movable, with an event socket that holds next to nothing."""
    guest.shells.output("kill $(cat /run/memplugd.pid)")
    wait_until(lambda: guest.shell("test -e /run/memplugd.status")[0] == 0, "memplugd to end")
    guest.shells.output("PATH=/usr/local/sbin:$PATH start-memplugd --uevent-buffer-bytes=1 -c /etc/memplug/movable.conf "
                        ">/dev/null 2>&1 &")
    yield guest


def test_a_burst_that_overflows_the_socket_loses_nothing(tiny_buffer):
    guest = tiny_buffer
    with guest.channel() as agent:
        # Stopped, so that the events must overflow.
        guest.shells.output("kill -STOP $(cat /run/memplugd.pid)")
        guest.qmp.command("object-add", qom_type="memory-backend-ram", id="big-ram",
                          size=16 * GIB, reserve=False)
        guest.qmp.command("device_add", driver="pc-dimm", id="big", memdev="big-ram")
        wait_until(lambda: len(guest.dimm_blocks("big")) == 128, "the 128 blocks of 16 GiB")
        guest.shells.output("kill -CONT $(cat /run/memplugd.pid)")
        assert set(check_listed(agent.call("guest-get-memory-blocks"))) == set(guest.blocks())
        assert "scanning again" in guest.shells.output("cat /run/memplugd.log")
        guest.wait_states("big", "online", "Movable")
        check_answers(agent, guest)

"""Blocks come and go as fast as a thread can make them: every answer is whole, sorted and true."""
import shutil
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from sysroot import add_block, make_tree, memplugd

from guest import Channel

ANSWERS = 10000
STEADY = 8
CHURNING = range(STEADY, STEADY + 16)


class Churn:
    """A thread that adds and removes blocks, and knows when each may have been there."""

    def __init__(self, memory):
        self.rounds = 0
        self._memory = memory
        self._last = {}  # index -> the last two windows: [possible from, possible until or None]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def may_exist(self, index, since, until):
        return any(begin <= until and (end is None or end >= since)
                   for begin, end in list(self._last.get(index, ())))

    def _run(self):
        while not self._stop.is_set():
            for index in CHURNING:
                window = [time.monotonic(), None]
                # An answer takes less than the two rounds that are remembered.
                self._last[index] = self._last.get(index, [])[-7:] + [window]
                add_block(self._memory, index)
            for index in CHURNING:
                shutil.rmtree(self._memory / ("memory%d" % index))
                self._last[index][-1][1] = time.monotonic()
            self.rounds += 1


def test_answers_hold_while_blocks_come_and_go(tmp_path):
    memory = make_tree(tmp_path / "tree", STEADY)
    sizes = {}
    with memplugd(tmp_path / "run", "--sysroot=%s" % (tmp_path / "tree")) as (sock, _), \
            Channel(sock) as channel, Churn(memory) as churn:
        for _ in range(ANSWERS):
            since = time.monotonic()
            listed = channel.call("guest-get-memory-blocks")
            until = time.monotonic()
            indices = [entry["phys-index"] for entry in listed]
            assert indices == sorted(set(indices))
            assert indices[:STEADY] == list(range(STEADY))
            for index in indices[STEADY:]:
                assert churn.may_exist(index, since, until), "block %d was not there" % index
            sizes[len(indices)] = sizes.get(len(indices), 0) + 1
    print("%d answers, %d rounds, answers by size: %s"
          % (ANSWERS, churn.rounds, sorted(sizes.items())))
    assert len(sizes) > 2, "the answers saw no change at all"

"""Holds memplugd's answers against the guest's own sysfs, and its events against its answers."""
from collections import namedtuple

# What the agent's map says of one block.
Told = namedtuple("Told", "state zone node device")


def expand(runs):
    """index -> Told, out of memory-get-map's runs; fails where they overlap or are out of order."""
    told, end = {}, -1
    for run in runs:
        assert run["first-block"] >= end and run["block-count"] > 0, "runs overlap: %s" % runs
        end = run["first-block"] + run["block-count"]
        for index in range(run["first-block"], end):
            told[index] = Told(run["state"], run["zone"], run["node"], run["device"])
    return told


def check_listed(listed):
    """guest-get-memory-blocks as {index: online}; fails where it is not sorted or has one twice."""
    indices = [entry["phys-index"] for entry in listed]
    assert indices == sorted(set(indices)), "not sorted, or twice: %s" % indices
    return {entry["phys-index"]: entry["online"] for entry in listed}


def check_answers(channel, guest):
    """Both of the agent's answers against sysfs, block for block. Returns the map.

    The kernel may go on by itself (virtio-mem does): sysfs is looked at before and after, and where
    the two differ for a block, nothing is expected of that one. Of a block that is going offline
    only that it is there: the kernel announces the end of that, not the beginning.
    """
    before = guest.blocks()
    listed = check_listed(channel.call("guest-get-memory-blocks"))
    told = expand(channel.call("memory-get-map"))
    after = guest.blocks()
    for index in sorted(set(before) | set(after) | set(listed) | set(told)):
        block = before.get(index)
        if block != after.get(index):
            continue
        found = (listed.get(index), told.get(index))
        if block is None:
            assert found == (None, None), "block %d is not there: %s" % (index, found)
            continue
        if block.state == "going-offline":
            assert None not in found, "%s: %s" % (block, found)
            continue
        zone = block.zone if block.state == "online" else "none"
        assert found[0] == (block.state == "online"), "%s: %s" % (block, found)
        assert found[1] and found[1][:2] == (block.state, zone), "%s: %s" % (block, found)
        if block.slot is not None:
            assert found[1].device == "slot%d" % block.slot, "%s: %s" % (block, found)
    return told


class Follower:
    """Knows the blocks from events alone, after one first look."""

    def __init__(self, channel):
        self._channel = channel
        channel.call("memory-set-events", enabled=True)
        channel.events.clear()
        self.online = {index: entry.state == "online"
                       for index, entry in expand(channel.call("memory-get-map")).items()}
        self.take()

    def take(self):
        """Takes in the events that have come with the answers so far; none may surprise."""
        for event in self._channel.events:
            data, name = event["data"], event["event"]
            assert set(event) == {"event", "data", "timestamp"}, event
            for index in self._range(data) if "first-block" in data else ():
                known = self.online.get(index)
                assert {"MEMORY_ADDED": known is None, "MEMORY_REMOVED": known is False,
                        "MEMORY_ONLINED": known is False,
                        "MEMORY_OFFLINED": known is True}[name], (event, index, known)
                if name == "MEMORY_REMOVED":
                    del self.online[index]
                else:
                    self.online[index] = name == "MEMORY_ONLINED"
        self._channel.events.clear()

    @staticmethod
    def _range(data):
        return range(data["first-block"], data["first-block"] + data["block-count"])

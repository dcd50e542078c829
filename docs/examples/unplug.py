#!/usr/bin/python3
"""An orchestrator's part of an unplug, without memplugctl: unplug.py AGENT.sock QMP.sock DIMM

QEMU's word decides: the DIMM is found by QEMU's id, named to the guest by QEMU's address and size,
and it is gone when DEVICE_DELETED says so. The guest's word is advice: every wait has an end.
"""
import json
import random
import socket
import sys
import time

REPLY_S, JOB_S, DELETED_S, LINE_MAX = 15, 90, 30, 16 << 20


class Peer:
    """One connection that speaks JSON lines."""

    def __init__(self, path):
        self.socket, self.buffer, self.count = socket.socket(socket.AF_UNIX), b"", 0
        self.socket.connect(path)

    def line(self, deadline):
        while b"\n" not in self.buffer:
            if len(self.buffer) > LINE_MAX or time.monotonic() >= deadline:
                raise TimeoutError("no answer in time")
            self.socket.settimeout(deadline - time.monotonic())
            data = self.socket.recv(1 << 16)
            assert data, "it hung up"
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line.rpartition(b"\xff")[2] or b"{}")

    def call(self, command, **arguments):
        """Runs one command; its "return"."""
        self.count += 1
        deadline = time.monotonic() + REPLY_S
        request = {"execute": command, "arguments": arguments, "id": self.count}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while time.monotonic() < deadline:
            reply = self.line(deadline)
            if reply.get("id") == self.count:
                if "error" in reply:
                    raise ValueError(reply["error"]["desc"])
                return reply["return"]
        raise TimeoutError("no answer in time")


def connect(agent_path, qmp_path, kind=Peer):
    """Both sides, in step: what earlier clients left unread is skipped."""
    qmp, agent = Peer(qmp_path), kind(agent_path)
    qmp.line(time.monotonic() + REPLY_S)  # the greeting
    qmp.call("qmp_capabilities")
    number = random.getrandbits(31)
    agent.socket.sendall(b'\xff{"execute":"guest-sync-delimited","arguments":{"id":%d}}\n' % number)
    while agent.line(time.monotonic() + REPLY_S).get("return") != number:
        pass
    return agent, qmp


def unplug(agent, qmp, dimm):
    """Exit status: 0 where it is gone."""
    data, = [each["data"] for each in qmp.call("query-memory-devices") if each["data"]["id"] == dimm]
    job = agent.call("memory-prepare-unplug", key="unplug.py " + dimm,
                     devices=[{"address": data["addr"], "size": data["size"]}])["job"]
    deadline, state = time.monotonic() + JOB_S, {"state": "queued"}
    while state["state"] not in ("ready", "unplugged", "failed", "cancelled", "expired"):
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
        state = agent.call("memory-query-unplug", job=job)
    if state["state"] == "ready":
        qmp.call("device_del", id=dimm)
        deadline = time.monotonic() + DELETED_S
        while time.monotonic() < deadline:
            if dimm not in [each["data"]["id"] for each in qmp.call("query-memory-devices")]:
                qmp.call("object-del", id=data["memdev"].rpartition("/")[2])
                return 0
            time.sleep(0.1)
    agent.call("memory-cancel-unplug", job=job)  # the guest gets its memory back
    print(state["state"], [reason["desc"] for reason in state.get("reasons", [])], file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(unplug(*connect(*sys.argv[1:3]), sys.argv[3]) if len(sys.argv) == 4 else __doc__)

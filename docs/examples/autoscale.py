#!/usr/bin/python3
"""An orchestrator that lets a guest ask: autoscale.py AGENT.sock QMP.sock [MOST_MIB [STEP_MIB]]

A guest whose tasks wait for memory gets a DIMM; one that has had enough for a while gives the last
one back. Prints a line for each step. It owns the DIMMs auto0, auto1, … and no others.

A guest whose kernel zones are full when the DIMM comes takes it into a kernel zone, from where it does not
come back. So [online] kernel-floor-bytes of its memplugd.conf has to be low, or the trigger early.
"""
import socket
import sys
import time

from unplug import REPLY_S, Peer, connect, unplug

TRIGGER = {"stall-ms": 100, "window-ms": 1000}
QUIET_S = 10      # without pressure for so long, memory may go
AGAIN_S = 60      # after a refusal, the guest is left alone for so long
ONLINE_S = 60     # a plugged DIMM that the guest does not use by then does not count
MIB = 1 << 20


class Guest(Peer):
    """The agent's connection; events are kept."""

    events = ()

    def line(self, deadline):
        line = super().line(deadline)
        if line.get("event") == "MEMORY_PRESSURE":
            self.events += (line["data"],)
        return line

    def pressure(self, seconds):
        """The last event within so many seconds, or None. Those before it are old news."""
        deadline = time.monotonic() + seconds
        try:
            while not self.events:
                self.line(deadline)
        except (socket.timeout, TimeoutError):
            return None
        event, self.events = self.events[-1], ()
        return event


def owned(qmp):
    """The ids of our DIMMs, the oldest first."""
    found = [each["data"]["id"] for each in qmp.call("query-memory-devices")]
    return sorted((name for name in found if name.startswith("auto")), key=lambda name: int(name[4:]))


def grow(agent, qmp, step):
    """One DIMM more, and wait until the guest uses it."""
    name = "auto%d" % len(owned(qmp))
    wanted = agent.call("memory-get-status")["guest-current"] + step
    qmp.call("object-add", **{"qom-type": "memory-backend-ram", "id": name + "-ram", "size": step})
    qmp.call("device_add", driver="pc-dimm", id=name, memdev=name + "-ram")
    deadline = time.monotonic() + ONLINE_S
    while time.monotonic() < deadline:
        if agent.call("memory-get-status")["guest-current"] >= wanted:
            break
        time.sleep(0.1)
    agent.events = ()  # what was said before it came
    return name


def main(agent_path, qmp_path, most_mib="4096", step_mib="256"):
    step, most = int(step_mib) * MIB, int(most_mib) * MIB
    agent, qmp = connect(agent_path, qmp_path, Guest)
    agent.call("memory-set-events", enabled=True, pressure=TRIGGER)
    pause = QUIET_S
    print("watching", flush=True)
    while True:
        event, pause = agent.pressure(pause), QUIET_S
        mine = owned(qmp)
        if event:
            if (len(mine) + 1) * step > most:
                print("pressure, and no more to give", flush=True)
                continue
            name = grow(agent, qmp, step)
            print("plugged %s: %d MiB available, some-avg10 %.2f" %
                  (name, event["available"] // MIB, event["some-avg10"] / 100), flush=True)
        elif mine:
            status = agent.call("memory-get-status")
            # Half of it stays free: else the guest would ask for it again.
            if (status["unplug-limit"] < step or status["available"] < step + step // 2
                    or status["pressure"]["some-avg10"] > 0):
                continue
            if unplug(agent, qmp, mine[-1]) == 0:
                print("unplugged " + mine[-1], flush=True)
            else:
                print("refused " + mine[-1], flush=True)
                pause = AGAIN_S


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]) if 3 <= len(sys.argv) <= 5 else __doc__)

"""The channel's life in a real guest: hosts that come and go, a port that does, silence, the page."""
import json
import os
import sys
import time
from pathlib import Path

import pytest

from guest import MIB, Channel, daemon
from guest.machine import AGENT_PORT
from guest.waiting import wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "protocol"))

import page
from schema_check import Schema

INFO = b'{"execute": "guest-info"}\n'
HALF = b'{"execute": "guest-pi'
SOAK = os.environ.get("SOAK") == "1"

# The kernel's view of the port: its file in debugfs, found by its name.
PORT_STATE = ("for port in /sys/class/virtio-ports/*; do [ \"$(cat $port/name)\" = %s ] && "
              "cat /sys/kernel/debug/virtio-ports/${port##*/}; done; true" % AGENT_PORT)
# Nothing of the daemon is under way: it sleeps.
DAEMON_STATE = "cut -d ' ' -f 3 /proc/$(cat /run/memplugd.pid)/stat"
SWITCHES = "grep ctxt_switches /proc/$(cat /run/memplugd.pid)/status"


def ping(number):
    """A request and its reply."""
    return (b'{"execute": "guest-ping", "id": %d}\n' % number,
            b'{"return": {}, "id": %d}' % number)


def wait_asleep(guest):
    """Waits until the daemon has done all that it was woken for."""
    wait_until(lambda: guest.shells.output(DAEMON_STATE).strip() == "S", "the daemon to sleep")


def leave(guest, channel):
    """Closes the host's end, and waits until kernel and daemon have seen it."""
    channel.close()
    wait_gone(guest)


def wait_gone(guest):
    """Waits until kernel and daemon have seen that the last host went."""
    wait_until(lambda: "host_connected: 0" in guest.shells.output(PORT_STATE),
               "the guest to see the host go")
    wait_asleep(guest)


def raw(guest):
    """A connection that does not synchronise: it sees all there is."""
    return Channel(guest.path("agent"), sync=False)


def assert_only(channel, number):
    """The next thing that comes is the answer to a ping sent now."""
    request, reply = ping(number)
    channel.send_raw(request)
    assert channel.receive_line() == reply


def assert_silent(guest, what, seconds):
    """The daemon is not woken once."""
    wait_asleep(guest)
    output = guest.shells.output("%s; sleep %d; %s" % (SWITCHES, seconds, SWITCHES),
                                 seconds + 120).splitlines()
    half = len(output) // 2
    assert half == 2 and output[:half] == output[half:], "%s: %s" % (what, output)


def unplug_port(guest):
    """Takes the port away; returns when the guest has no such port."""
    top = "/machine/peripheral-anon"
    paths = ["%s/%s" % (top, entry["name"]) for entry in guest.qmp.command("qom-list", path=top)
             if entry["type"] == "child<virtserialport>"]
    added = "/machine/peripheral"
    paths += ["%s/%s" % (added, entry["name"])
              for entry in guest.qmp.command("qom-list", path=added)
              if entry["type"] == "child<virtserialport>"]
    path, = [path for path in paths
             if guest.qmp.command("qom-get", path=path, property="name") == AGENT_PORT]
    mark = guest.qmp.mark()
    guest.qmp.command("device_del", id=path)
    guest.qmp.wait_event("DEVICE_DELETED", {"path": path}, mark)
    wait_until(lambda: not guest.shells.output(PORT_STATE), "the port to go")


def plug_port(guest):
    """Brings the port back, with the chardev that it had."""
    guest.qmp.command("device_add", driver="virtserialport", bus="ports.0", chardev="agent",
                      name=AGENT_PORT, id="again%d" % guest.qmp.mark())
    wait_until(lambda: guest.shells.output(PORT_STATE), "the port to come")


def test_nothing_crosses_from_host_to_host(guest, rounds):
    """Half a request, unread replies and the event subscription end with their host."""
    for number in range(rounds):
        # After a sync the hang-up is believed only when it lasts.
        synced = number % 2 == 1
        wait_gone(guest)  # a host that does not synchronise is told from the last by that alone
        first = guest.channel() if synced else raw(guest)
        current = first.call("memory-get-status")["guest-current"]
        first.call("memory-set-events", enabled=True)
        first.send_raw(200 * INFO + HALF)
        leave(guest, first)
        if synced:
            guest.shells.output("sleep 3")
        with raw(guest) as second:
            assert_only(second, number)
            second.send("memory-set-target", bytes=current)  # would be an event
            assert second.receive_message() == {"return": {}}
            assert_only(second, number + 1)


def test_a_reopen_that_nobody_sees(guest, rounds):
    """Close and open at once: 0xFF and guest-sync-delimited leave all of the last host behind."""
    for number in range(4 * rounds):
        first = guest.channel()
        first.call("memory-set-events", enabled=True)
        first.send_raw(number % 3 * 20 * INFO + HALF)
        second = guest.channel()  # closes the first
        assert_only(second, number)


def test_nothing_of_a_host_that_comes_at_once_is_lost(guest, rounds):
    """The kernel hears of its bytes before it hears that the last host has closed the port."""
    pings = [ping(number) for number in range(60)]
    with guest.channel():
        pass
    for number in range(60 * rounds):
        time.sleep(number % 40 / 10000)
        channel = raw(guest)
        mark = (b'{"return": %d}' % (1000000 + number))
        channel.send_raw(b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": %d}}\n'
                         % (1000000 + number))
        if number % 2 == 0:  # one that waits for the reply to the sync
            while channel.receive_line() != mark:
                pass
        for request, _ in pings:
            channel.send_raw(request)
        while number % 2 == 1 and channel.receive_line() != mark:
            pass
        for _, reply in pings:
            assert channel.receive_line() == reply
        channel.close()


def test_the_port_goes_and_comes_back(guest, rounds):
    """In the middle of a request and of replies that nobody reads; the daemon is never restarted."""
    pid = guest.shells.output("cat /run/memplugd.pid")
    for number in range(max(2, rounds // 5)):
        channel = guest.channel()
        request, reply = ping(number)
        channel.send_raw(request + number % 2 * 200 * INFO + HALF)
        assert channel.receive_line() == reply
        unplug_port(guest)
        assert_silent(guest, "without a port", 60 if SOAK and number == 0 else 2)
        plug_port(guest)
        if number % 2 == 0:  # the host's connection to QEMU has outlived the port
            assert_only(channel, number + 100)
        with guest.channel() as again:
            assert_only(again, number)
    assert guest.shells.output("cat /run/memplugd.pid") == pid and daemon.is_running(guest)


def test_the_daemon_is_there_before_the_port(guest):
    guest.channel().close()
    assert daemon.stop(guest) == 0
    unplug_port(guest)
    guest.shells.output("rm /run/memplugd.log")
    guest.start_daemon()
    wait_until(lambda: "waiting for it" in guest.shell("cat /run/memplugd.log")[1],
               "the daemon to miss the port")
    plug_port(guest)
    with guest.channel() as channel:
        assert_only(channel, 1)


@pytest.mark.parametrize("way", ["idle", "half a request", "a reply half written", "no host"])
def test_sigterm(guest, way, rounds):
    """It ends with 0, whatever the host does; and the next daemon does not see what was left."""
    for _ in range(rounds // 5):
        channel = guest.channel()
        if way == "half a request":
            channel.send_raw(HALF)
        elif way == "a reply half written":
            channel.send_raw(500 * INFO)
            channel.receive_line()
        elif way == "no host":
            leave(guest, channel)
        assert daemon.stop(guest) == 0
        daemon.start(guest)


@pytest.mark.parametrize("host", ["connected", "gone", "not reading"])
def test_silence_costs_nothing(guest, host):
    """Not one context switch: 10 s each, 60 s in soak."""
    channel = guest.channel()
    channel.call("memory-get-status")
    if host == "gone":
        leave(guest, channel)
    elif host == "not reading":
        channel.send_raw(1500 * INFO)
        time.sleep(1)
    assert_silent(guest, host, 60 if SOAK else 2 if host == "not reading" else 10)


def replay(channel, shown, job):
    """Sends the page's request, with our job's number, until the reply has the page's shape."""
    request, (reply,) = shown
    request = json.loads(request)
    if "job" in request.get("arguments", {}):
        request["arguments"]["job"] = job
    want = page.shape(page.load(reply)[1])

    def look():
        channel.send_raw(json.dumps(request).encode() + b"\n")
        answer = channel.receive_message()
        # A job may be on its way to the state that the page shows.
        polls = request["execute"] == "memory-query-unplug"
        return answer if not polls or page.shape(answer) == want else None

    answer = wait_until(look, "the reply that the page shows: %s" % want)
    assert page.shape(answer) == want
    assert not Schema().check_return(request["execute"], answer["return"])
    return answer["return"]


def without_device(event):
    """The event's shape; whether the device is known by then is a matter of luck."""
    found = page.shape(event)
    found["data"].pop("device", None)
    return found


def test_the_page(guest):
    """docs/protocol.md's unplug from beginning to end, with its events in that order."""
    unplug = page.examples("qga guest")
    # This guest is not short of memory; test_pressure.py has one that is.
    events = [event for event in (page.load(line)[1] for _, (line,) in page.examples("qga event"))
              if event["event"] != "MEMORY_PRESSURE"]
    before_del = [shown for shown in unplug if b'"state": "unplugged"' not in b"".join(shown[1])][:3]
    with guest.channel() as channel:
        replay(channel, before_del[0], None)
        channel.call("memory-set-target", bytes=channel.call("memory-get-status")["guest-current"])
        guest.plug_dimm("page", 512 * MIB)
        guest.wait_states("page", "online", "Movable")
        wait_until(lambda: channel.call("memory-get-devices")[-1]["online-movable"] == 512 * MIB,
                   "the daemon to see the DIMM")
        job = replay(channel, before_del[1], None)["job"]
        replay(channel, before_del[2], job)
        mark = guest.device_del("page")
        for shown in unplug[3:]:
            replay(channel, shown, job)
        guest.wait_deleted("page", mark)
        # Below the target by nothing: it was reached when it was set, and again when set anew.
        channel.call("memory-set-target", bytes=channel.call("memory-get-status")["guest-current"])
        channel.call("guest-ping")
    problems = [problem for event in channel.events for problem in Schema().check_event(event)]
    assert not problems
    got = [without_device(event) for event in channel.events]
    for event in map(without_device, events):
        assert event in got, "%s is not among what came: %s" % (event, got)
        got = got[got.index(event) + 1:]

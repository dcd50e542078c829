"""`auto` is the kernel's own arithmetic: block for block what online_policy=auto-movable says.

The daemon is kept from seeing that the kernel has that policy, so it decides by itself. What the
kernel would do is asked before: `valid_zones` of an offline block begins with the zone that a plain
"online" would put it in.
"""
import random

import pytest

from guest import MIB, wait_until
from guest import daemon

GUEST = {"slots": 64, "maxmem": "64G", "append": "memplug.nodaemon"}
PLUGS = 5
PARAMETERS = "/sys/module/memory_hotplug/parameters"


@pytest.fixture
def hidden(guest):
    """The kernel's parameters reached by the test alone; the daemon sees an empty directory."""
    guest.shells.output("mkdir -p /tmp/parameters; [ -e /tmp/parameters/online_policy ] || "
                        "{ mount --bind %s /tmp/parameters; mount -t tmpfs none %s; }"
                        % (PARAMETERS, PARAMETERS))
    guest.shells.output("echo auto-movable >/tmp/parameters/online_policy")
    daemon.configure(guest, policy="auto")
    if not daemon.is_running(guest):
        daemon.start(guest, "-a", daemon.ALLOW)
    return guest


def signal(guest, name):
    guest.shells.output("kill -%s $(cat /run/memplugd.pid)" % name)


def plug_and_compare(guest, dimm, size_bytes):
    """Returns the zone that it went to."""
    signal(guest, "STOP")  # so that the kernel can be asked first
    guest.plug_dimm(dimm, size_bytes)
    guest.wait_states(dimm, "offline")
    expected = wait_until(lambda: all_have_zones(guest, dimm), "the kernel's opinion")
    signal(guest, "CONT")
    guest.wait_states(dimm, "online")
    found = {index: block.zone for index, block in guest.dimm_blocks(dimm).items()}
    assert found == expected
    return set(found.values())


def all_have_zones(guest, dimm):
    zones = {index: block.zone for index, block in guest.dimm_blocks(dimm).items()}
    return zones if "-" not in zones.values() else None


def test_generated_plugs(hidden, rounds):
    seed = random.randrange(1 << 32)
    print("seed %d" % seed)
    generator = random.Random(seed)
    seen = set()
    number = 0
    with hidden.channel() as channel:
        for _ in range(5 if rounds == 5 else 30):
            ratio = generator.choice((20, 60, 100, 150, 301, 400))
            hidden.shells.output("echo %d >/tmp/parameters/auto_movable_ratio" % ratio)
            channel.call("memory-set-policy", movable_ratio=ratio)
            plugged = []
            for _ in range(PLUGS):
                number += 1
                size_bytes = generator.choice((1, 1, 2, 2, 3, 4, 8)) * 128 * MIB
                zone = plug_and_compare(hidden, "auto%d" % number, size_bytes)
                seen |= zone
                plugged += ["auto%d" % number] if zone == {"Movable"} else []
            # What is movable goes again, some of it at once and the rest before slots run out.
            for dimm in plugged:
                hidden.wait_deleted(dimm, hidden.device_del(dimm))
    assert {"Movable", "Normal"} <= seen, "the plugs did not reach both sides"


def test_the_kernel_does_it_itself_where_it_can(hidden):
    guest = hidden
    daemon.stop(guest)
    guest.shells.output("umount %s; echo contig-zones >%s/online_policy" % (PARAMETERS, PARAMETERS))
    daemon.configure(guest, policy="auto", movable_ratio="301")
    daemon.start(guest)
    wait_until(lambda: guest.shells.output("cat %s/online_policy" % PARAMETERS).strip()
               == "auto-movable", "the kernel's policy")
    guest.plug_dimm("small", 128 * MIB)
    guest.wait_states("small", "online")
    assert daemon.stop(guest) == 0
    assert guest.shells.output("cat %s/online_policy" % PARAMETERS).strip() == "contig-zones"

"""memplugctl share-port in a Debian with its own qemu-guest-agent: the port that hosts know, shared
and given back. One guest, one story."""
import base64
import json

import pytest

from guest.channel import Channel, QgaError
from guest.jobs import wait_job
from guest.systemd_guest import SystemdGuest, SystemdImage
from guest.waiting import wait_until

PORT = "org.qemu.guest_agent.0"
DROP_IN = "/etc/systemd/system/qemu-guest-agent.service.d"
# As Fedora and RHEL write it: words that systemd expands, an empty one, one with a space in it.
FEDORA = """[Unit]
Description=QEMU Guest Agent
BindsTo=dev-virtio\\x2dports-org.qemu.guest_agent.0.device
After=dev-virtio\\x2dports-org.qemu.guest_agent.0.device
IgnoreOnIsolate=True
[Service]
UMask=0077
EnvironmentFile=-/etc/sysconfig/qemu-ga
ExecStart=-/usr/sbin/qemu-ga \\
  --method=virtio-serial \\
  --path=/dev/virtio-ports/org.qemu.guest_agent.0 \\
  $FILTER_RPC_ARGS \\
  -F${FSFREEZE_HOOK_PATHNAME} "--statedir=/run/a b"
Restart=always
RestartSec=0
"""
SYSCONFIG = "FILTER_RPC_ARGS=--block-rpcs=guest-exec\nFSFREEZE_HOOK_PATHNAME=/etc/fsfreeze-hook\n"


class Shared(SystemdGuest):
    """With the port that hosts know beside memplug's own."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._arguments += self._port("qga", PORT)


def put(guest, path, text, mode="644"):
    guest.shells.output("echo %s | base64 -d >'%s'; chmod %s '%s'" % (
        base64.b64encode(text.encode()).decode(), path, mode, path))


@pytest.fixture(scope="module")
def systemd_guest():
    image = SystemdImage()
    image.make_installed()
    with Shared(image, installed=True) as guest:
        yield guest


@pytest.fixture
def guest(systemd_guest):
    return systemd_guest


def host(guest):
    """The host's end of the port that both share."""
    return Channel(guest.path("qga"))


def names(guest):
    with host(guest) as channel:
        return [command["name"] for command in channel.call("guest-info")["supported_commands"]]


def answer(channel, command):
    """None: an error."""
    try:
        return channel.call(command)
    except QgaError:
        return None


def share_port(guest, word):
    """(exit status, what it said)."""
    return guest.shells.run("memplugctl share-port %s 2>&1" % word, 120)


def command_line(guest):
    return guest.shells.output(
        "tr '\\0' '|' </proc/$(systemctl show -P MainPID qemu-guest-agent)/cmdline").strip()


def test_before(guest):
    wait_until(lambda: "active" == guest.shells.output(
        "systemctl is-active qemu-guest-agent || true").strip(), "qemu-ga")
    assert "memory-get-status" not in names(guest) and "guest-exec" in names(guest)
    assert share_port(guest, "status") == (0, "The port is not shared.\n")
    assert guest.shells.run("memplugctl share-port on")[0] == 2
    assert guest.shells.run("setpriv --reuid=nobody --clear-groups memplugctl share-port enable")[0] == 1


def test_enable(guest):
    before = command_line(guest)
    status, said = share_port(guest, "enable")
    assert status == 0, said + guest.describe()
    seen = names(guest)
    assert {"memory-get-status", "guest-memory-get-status", "guest-exec", "guest-fsfreeze-freeze"} <= set(seen)
    assert len(seen) == len(set(seen))
    with host(guest) as channel:
        assert channel.call("guest-get-osinfo")["id"] == "debian"
        assert channel.call("memory-get-status")["policy"] == "movable"
        assert channel.call("guest-memory-get-status")["policy"] == "movable"
    assert command_line(guest).startswith(before)
    assert share_port(guest, "status")[0] == 0
    assert json.loads(share_port(guest, "status --json")[1]) == {"enabled": True, "works": True}
    pids = guest.shells.output("pidof qemu-ga memplugd")
    assert share_port(guest, "enable")[0] == 0  # nothing to do: nothing is restarted
    assert guest.shells.output("pidof qemu-ga memplugd") == pids


def test_frozen_file_systems_stop_nothing_of_ours(guest):
    """A DIMM that is plugged comes online, a prepare becomes ready, while the root is frozen."""
    with host(guest) as channel:
        assert channel.call("guest-fsfreeze-freeze") >= 1
        try:
            guest.add_dimm("dimm0", 256 << 20, slot=0)
            wait_until(lambda: [device for device in channel.call("memory-get-devices")
                                if device["kind"] == "dimm" and device["online-movable"] == 256 << 20],
                       "the DIMM")
            job = channel.call("memory-prepare-unplug", devices=[{"slot": 0}])["job"]
            wait_job(channel, job, "ready")
            channel.call("memory-cancel-unplug", job=job)
            assert channel.call("guest-fsfreeze-status") == "frozen"
        finally:
            assert channel.call("guest-fsfreeze-thaw") >= 1


def test_qemu_ga_is_restarted_and_upgraded_under_it(guest):
    guest.shells.output("systemctl restart qemu-guest-agent")
    with host(guest) as channel:
        assert wait_until(lambda: answer(channel, "guest-get-time"), "qemu-ga") > 0
    guest.shells.output("systemctl restart memplugd")
    with host(guest) as channel:
        assert channel.call("memory-get-status")
        assert channel.call("guest-get-time") > 0


def test_disable(guest):
    assert share_port(guest, "disable") == (0, "qemu-ga has its port again.\n")
    wait_until(lambda: "memory-get-status" not in names(guest), "qemu-ga on its port")
    assert guest.shells.run("ls %s" % DROP_IN)[0] != 0
    assert share_port(guest, "disable") == (0, "The port was not shared.\n")
    with Channel(guest.path("agent")) as channel:
        channel.call("memory-get-status")


def test_a_unit_as_fedora_has_it(guest):
    """What systemd expands stays so, and its other arguments stay."""
    guest.shells.output("mkdir -p /etc/sysconfig '/run/a b'")
    put(guest, "/etc/fsfreeze-hook", "#!/bin/sh\n", "755")
    put(guest, "/etc/sysconfig/qemu-ga", SYSCONFIG)
    put(guest, "/etc/systemd/system/qemu-guest-agent.service", FEDORA)
    guest.shells.output("systemctl daemon-reload; systemctl restart qemu-guest-agent")
    before = command_line(guest)
    assert before.endswith("|--block-rpcs=guest-exec|-F/etc/fsfreeze-hook|--statedir=/run/a b|"), before
    status, said = share_port(guest, "enable")
    assert status == 0, said + guest.describe()
    assert command_line(guest) == before + \
        "--method=unix-listen|--path=/run/memplug-qemu-ga/qemu-ga.sock|"
    with host(guest) as channel:
        info = channel.call("guest-info")["supported_commands"]
    assert [command["enabled"] for command in info if command["name"] == "guest-exec"] == [False]
    assert share_port(guest, "disable")[0] == 0


def test_all_is_undone_where_it_does_not_work(guest):
    """A qemu-ga that knows no such method is left as it was."""
    guest.shells.output("mv /usr/sbin/qemu-ga /usr/sbin/qemu-ga.real")
    put(guest, "/usr/sbin/qemu-ga", "#!/bin/sh\ncase \"$*\" in *unix-listen*) exit 1 ;; esac\n"
        "exec /usr/sbin/qemu-ga.real \"$@\"\n", "755")
    guest.shells.output("systemctl restart qemu-guest-agent")
    status, said = share_port(guest, "enable")
    assert status == 1 and "everything is as it was" in said, said
    assert guest.shells.run("ls %s /etc/memplug/memplugd.conf.d/*" % DROP_IN)[0] != 0
    wait_until(lambda: "memory-get-status" not in names(guest), "qemu-ga on its port")
    with Channel(guest.path("agent")) as channel:
        channel.call("memory-get-status")
    guest.shells.output("mv /usr/sbin/qemu-ga.real /usr/sbin/qemu-ga; systemctl restart qemu-guest-agent")


def test_removal_gives_the_port_back(guest):
    assert share_port(guest, "enable")[0] == 0
    guest.shells.output("dpkg -r memplug")
    wait_until(lambda: "memory-get-status" not in names(guest) and "guest-exec" in names(guest),
               "qemu-ga on its port")
    assert guest.shells.run("ls %s /etc/memplug/memplugd.conf.d/*" % DROP_IN)[0] != 0

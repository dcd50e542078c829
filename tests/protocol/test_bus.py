"""memplugd on D-Bus: what its own clients do not show."""
import pytest

from bus import Peer
from daemon import Daemon, wait_until


@pytest.fixture
def daemon():
    with Daemon(bus=True) as made:
        with Peer(made) as peer:
            wait_until(lambda: peer.call("GetPolicy") is None, "memplugd to be on the bus")
        yield made


def test_what_the_channel_sets_is_announced(daemon):
    with Peer(daemon) as peer:
        peer.listen()
        assert daemon.ask("memory-set-target", bytes=1 << 30)["return"] == {}
        peer.signal("PropertiesChanged")


def test_properties_are_the_figures_of_the_status(daemon):
    assert daemon.ask("memory-set-target", bytes=3 << 30)["return"] == {}
    status = daemon.ask("memory-get-status")["return"]
    with Peer(daemon, other=True) as peer:
        for name, figure in (("BlockSize", "block-size"), ("GuestAtBoot", "guest-at-boot"),
                             ("GuestCurrent", "guest-current"),
                             ("GuestRequested", "guest-requested")):
            assert peer.number(name) == status[figure] > 0


def test_a_large_request_does_not_wait_for_polkit(daemon):
    """What waits is kept, and nobody's megabytes are worth that."""
    with Peer(daemon, other=True) as peer:
        assert peer.call("GetPolicy", x="y") == "org.freedesktop.DBus.Error.AccessDenied"
        assert (peer.call("GetPolicy", x="y" * (2 << 20)) ==
                "org.freedesktop.DBus.Error.InvalidArgs")

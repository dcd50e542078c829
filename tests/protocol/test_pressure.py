"""memory-set-events with pressure: what is refused, and that a refusal changes nothing."""
import pytest

from daemon import Daemon
from guest.channel import Channel, QgaError

PRESSURE = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n" \
           "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
TRIGGER = {"stall-ms": 150, "window-ms": 1000}


@pytest.fixture(scope="module")
def daemon():
    with Daemon() as made:
        yield made


@pytest.fixture
def channel(daemon):
    with Channel(str(daemon.socket)) as made:
        yield made


def refusal(channel, **pressure):
    with pytest.raises(QgaError) as refused:
        channel.call("memory-set-events", enabled=True, pressure=pressure)
    return str(refused.value)


@pytest.mark.parametrize("pressure, named", [
    ({"stall-ms": 1, "window-ms": 499}, "window-ms"), ({"stall-ms": 1, "window-ms": 10001}, "window-ms"),
    ({"stall-ms": 0, "window-ms": 1000}, "stall-ms"), ({"stall-ms": 1001, "window-ms": 1000}, "stall-ms"),
    ({"stall-ms": 1}, "window-ms"), ({"window-ms": 1000}, "stall-ms")])
def test_arguments(channel, pressure, named):
    assert named in refusal(channel, **pressure)


def test_a_kernel_that_does_not_measure_it(channel):
    """The error says how to turn it on, and events are as they were."""
    assert "psi=1" in refusal(channel, **TRIGGER)
    channel.call("memory-set-events", enabled=True)
    assert "psi=1" in refusal(channel, **TRIGGER)
    current = channel.call("memory-get-status")["guest-current"]
    channel.call("memory-set-target", bytes=current)
    channel.call("guest-ping")
    assert [event["event"] for event in channel.events] == ["MEMORY_TARGET_REACHED"]


def test_nothing_is_written_below_a_sysroot(daemon, channel):
    daemon.tree.write("proc/pressure/memory", PRESSURE)
    assert "Read-only" in refusal(channel, **TRIGGER)
    assert (daemon.tree.root / "proc/pressure/memory").read_text() == PRESSURE
    channel.call("memory-set-events", enabled=False, pressure=TRIGGER)

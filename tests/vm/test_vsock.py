"""vsock-listen in a guest. This machine has no vhost-vsock, so nobody here has the host's CID: what can be seen is
that a process of the guest itself, over the kernel's loopback, gets in touch and is turned away."""
import pytest

from guest import Archive, Guest, daemon
from guest.programs import add_modules
from guest.waiting import wait_until

ASK = "vsock-ask 1 1024 '{\"execute\":\"guest-ping\"}' 2>&1"


@pytest.fixture(scope="module")
def guest(memplugd_image):
    modules = Archive()
    add_modules(modules, memplugd_image.base.parent / "unpacked", ("vsock_loopback",), "etc/vsock.order")
    with Guest(image=memplugd_image, overlays=[modules]) as started:
        started.shells.output("while read -r module; do insmod $module; done </etc/vsock.order")
        daemon.stop(started)
        started.shells.output("start-memplugd -m vsock-listen -p 4294967295:1024 >/dev/null 2>&1 &")
        wait_until(lambda: "listening on vsock:4294967295:1024" in daemon.log(started), "the daemon to listen")
        yield started


def test_a_process_of_the_guest_is_turned_away(guest):
    """Every time, also when it asks often; the daemon says why, and is not shut for the host by it."""
    for _ in range(40):
        status, said = guest.shell(ASK)
        assert status == 0 and said.strip().endswith("closed") and "return" not in said, said
    log = daemon.log(guest)
    assert "turned a client away: not root, or not the host" in log
    assert log.count("turned a client away") < 40
    assert daemon.is_running(guest)

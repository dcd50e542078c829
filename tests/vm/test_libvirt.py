"""libvirt itself talks to memplugd: guest-sync before each command, 5 s, replies by position."""
import json

import pytest

from guest import Archive
from guest.virsh import PORT, Virsh, VirshFailed

CONF = Archive()
CONF.file("etc/memplug/memplugd.conf.d/50-port.conf",
          "[channel]\npath=/dev/virtio-ports/%s\n" % PORT)


@pytest.fixture(scope="module")
def virsh(memplugd_image):
    """A guest of libvirt's, whose agent is memplugd."""
    archives = [memplugd_image.base.read_bytes(), memplugd_image.memplugd.read_bytes(), CONF.pack()]
    with Virsh(memplugd_image, archives) as started:
        yield started


def call(virsh, command, **arguments):
    """One command; its "return"."""
    request = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
    return json.loads(virsh.agent(json.dumps(request)))["return"]


def test_commands(virsh):
    """Replies are whole, also long ones, and belong to their requests."""
    assert call(virsh, "guest-ping") == {}
    status = call(virsh, "memory-get-status")
    assert status["guest-current"] == 512 << 20 and status["policy"] == "movable"
    blocks = call(virsh, "guest-get-memory-blocks")
    assert len(blocks) * status["block-size"] == status["present"]
    for _ in range(10):
        assert call(virsh, "memory-query-unplug") == []
        assert call(virsh, "guest-get-memory-block-info") == {"size": status["block-size"]}


def test_errors(virsh):
    """An error is that command's, and the next one works."""
    with pytest.raises(VirshFailed, match="The command nope has not been found"):
        call(virsh, "nope")
    with pytest.raises(VirshFailed, match="There is no job 7"):
        call(virsh, "memory-cancel-unplug", job=7)
    assert call(virsh, "guest-ping") == {}


def test_events_are_passed_over(virsh):
    """An event comes right behind a reply, in front of the next: libvirt takes it for neither."""
    current = call(virsh, "memory-get-status")["guest-current"]
    call(virsh, "memory-set-events", enabled=True)
    for _ in range(5):
        assert call(virsh, "memory-set-target", bytes=current) == {}
        assert call(virsh, "memory-get-status")["guest-requested"] == current

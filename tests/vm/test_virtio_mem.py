"""virtio-mem (KubeVirt): it grows without a stall, as movable memory, and gives it all back."""
import random

from guest import GIB, MIB, wait_until

SIZE = 8 * GIB
GUEST = {"memory": "2G", "maxmem": "32G",
         "devices": ["-object", "memory-backend-ram,id=vmem-ram,size=%d" % SIZE,
                     "-device", "virtio-mem-pci,id=vmem,memdev=vmem-ram,requested-size=0"]}


def plugged(guest):
    return guest.dimm("vmem")["size"]


def resize(guest, size_bytes):
    guest.qmp.command("qom-set", path="/machine/peripheral/vmem", property="requested-size",
                      value=size_bytes)
    wait_until(lambda: plugged(guest) == size_bytes, "virtio-mem to have %d MiB"
               % (size_bytes // MIB), timeout=300)


def hot(guest):
    first = guest.dimm("vmem")["memaddr"] if "memaddr" in guest.dimm("vmem") else 4 * GIB
    return [block for block in guest.blocks().values()
            if block.index >= first // guest.block_size()]


def all_movable(guest):
    return {(block.state, block.zone) for block in hot(guest)} == {("online", "Movable")}


def test_it_grows_to_8_gib_without_a_stall_and_shrinks_to_nothing(guest, agent):
    generator = random.Random(5)
    size_bytes = 0
    while size_bytes < SIZE:
        step = generator.choice((2, 66, 128, 300, 1024, 2050, 4096)) * MIB
        size_bytes = min(SIZE, size_bytes + step)
        resize(guest, size_bytes)
        wait_until(lambda: all_movable(guest), "all of it to be movable")
    device, = [each for each in agent.call("memory-get-devices") if each["kind"] == "virtio-mem"]
    assert device["online-movable"] == SIZE
    assert device["offline"] == device["online-kernel"] == 0
    resize(guest, 3 * GIB)
    resize(guest, 0)
    assert agent.call("guest-ping") == {}

"""memory-get-status against what QEMU, /proc and the kernel's zones say: virtio-mem, a DIMM, a balloon."""
import re

from guest import GIB, MIB, wait_until

SIZE = 2 * GIB
VIRTIO_MEM = ["-object", "memory-backend-ram,id=vmem-ram,size=%d" % SIZE,
              "-device", "virtio-mem-pci,id=vmem,memdev=vmem-ram,requested-size=0"]
GUEST = {"devices": VIRTIO_MEM + ["-device", "virtio-balloon-pci,id=balloon"]}


def resize(guest, size_bytes):
    guest.qmp.command("qom-set", path="/machine/peripheral/vmem", property="requested-size",
                      value=size_bytes)
    wait_until(lambda: guest.dimm("vmem")["size"] == size_bytes, "virtio-mem to have %d MiB"
               % (size_bytes // MIB), timeout=300)


def plugged(agent):
    device, = [each for each in agent.call("memory-get-devices") if each["kind"] == "virtio-mem"]
    return device["plugged"]


def current(agent):
    return agent.call("memory-get-status")["guest-current"]


def meminfo(guest, name):
    text = guest.shells.output("cat /proc/meminfo")
    return int(re.search(r"^%s: +(\d+) kB" % name, text, re.M)[1]) * 1024


def test_virtio_mem_to_its_piece(guest, agent):
    """Also within a block, where no event tells of it; and the target is reached at the piece."""
    assert agent.call("memory-get-status")["guest-at-boot"] == GIB
    total = meminfo(guest, "MemTotal")
    for mib in (130, 300, 66, 2):
        agent.call("memory-set-events", enabled=True)
        agent.call("memory-set-target", bytes=GIB + mib * MIB)
        resize(guest, mib * MIB)
        wait_until(lambda size=mib * MIB: plugged(agent) == size, "%d MiB plugged" % mib)
        wait_until(lambda size=mib * MIB: current(agent) == GIB + size, "%d MiB more" % mib)
        assert meminfo(guest, "MemTotal") - total == mib * MIB
        wait_until(lambda: agent.call("guest-ping") == {} and [
            event for event in agent.events if event["event"] == "MEMORY_TARGET_REACHED"], "the target")
        agent.events.clear()
    resize(guest, 0)
    wait_until(lambda: current(agent) == GIB, "all of it to be gone")


def test_a_balloon_beside_it(guest, agent):
    """query-balloon counts virtio-mem's memory out."""
    resize(guest, 256 * MIB)
    wait_until(lambda: current(agent) == GIB + 256 * MIB, "the growth")
    guest.qmp.command("balloon", value=GIB - 100 * MIB)
    wait_until(lambda: guest.qmp.command("query-balloon")["actual"] == GIB - 100 * MIB, "the balloon")
    wait_until(lambda: current(agent) == GIB + 156 * MIB, "both in the figure")
    guest.qmp.command("balloon", value=GIB)
    wait_until(lambda: current(agent) == GIB + 256 * MIB, "the balloon's end")
    resize(guest, 0)


def kernel_free(guest):
    pages = 0
    for part in re.split(r"^Node ", guest.shells.output("cat /proc/zoneinfo"), flags=re.M)[1:]:
        if "zone  Movable" in part or not re.search(r"present +[1-9]", part):
            continue
        free, high = (int(re.search(r"%s +(\d+)\n" % name, part)[1]) for name in ("free", " high"))
        pages += max(0, free - high)
    return pages * 4096


def test_room(guest, agent, dimm):
    """The figures of a moment lie between what the kernel says before and after it."""
    slack = 16 * MIB
    before = meminfo(guest, "MemAvailable"), kernel_free(guest)
    status = agent.call("memory-get-status")
    after = meminfo(guest, "MemAvailable"), kernel_free(guest)
    for figure, one, other in zip((status["available"], status["kernel-free"]), before, after):
        assert min(one, other) - slack <= figure <= max(one, other) + slack
    assert status["plug-limit"] > GIB  # 16 MiB of descriptors
    size = guest.dimm(dimm)["size"]
    verdict = agent.call("memory-check-unplug", devices=[{"slot": guest.dimm(dimm)["slot"]}])
    assert verdict["ready-to-prepare"] and status["unplug-limit"] == size
    assert abs(verdict["available-bytes"] - status["available"]) <= slack
    # What is asked to be left decides: with nothing to spare nothing passes.
    guest.shells.output("mkdir -p /fill; mount -t tmpfs -o size=100%% fill /fill; "
                        "dd if=/dev/zero of=/fill/x bs=1M count=%d"
                        % (status["available"] // MIB - 200))
    status = agent.call("memory-get-status")
    verdict = agent.call("memory-check-unplug", devices=[{"slot": guest.dimm(dimm)["slot"]}])
    guest.shells.output("umount /fill")
    assert not verdict["ready-to-prepare"] and status["unplug-limit"] == 0


def test_virtio_mem_without_its_driver(boot):
    guest = boot(append="module_blacklist=virtio_mem", devices=VIRTIO_MEM)
    with guest.channel() as agent:
        status = agent.call("memory-get-status")
    assert [warning["code"] for warning in status["warnings"]] == ["virtio-mem-no-driver"]
    capability, = [each for each in status["capabilities"] if each["name"] == "virtio-mem"]
    assert not capability["available"] and "virtio" in capability["desc"]

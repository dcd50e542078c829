"""Memory that appears comes online as movable, and the agent says of it what the kernel shows."""
from guest import GIB, Archive, wait_until


def rules(name, text):
    overlay = Archive()
    overlay.file("etc/udev/rules.d/" + name, text)
    return overlay


REDHAT = rules("40-redhat.rules",
               'SUBSYSTEM=="memory", ACTION=="add", ATTR{state}=="offline", ATTR{state}="online"\n')
# Ours would do the daemon's work before it can: an empty file of the same name masks it.
NO_OVERRIDE = rules("39-memplug-online.rules", "")


def test_the_daemon_does_it_without_udev(boot):
    guest = boot(append="memplug.noudevd")
    guest.plug_dimm("dimm")
    guest.wait_states("dimm", "online", "Movable")


def test_the_daemon_does_it_without_its_udev_rule(boot):
    guest = boot(overlays=[NO_OVERRIDE])
    guest.plug_dimm("dimm")
    guest.wait_states("dimm", "online", "Movable")


def test_the_udev_rule_does_it_without_the_daemon(boot):
    guest = boot(append="memplug.nodaemon", overlays=[REDHAT])
    guest.plug_dimm("dimm")
    guest.wait_states("dimm", "online", "Movable")


def test_a_redhat_rule_does_not_win(boot):
    guest = boot(overlays=[REDHAT])
    guest.plug_dimm("dimm")
    guest.wait_states("dimm", "online", "Movable")


def test_blocks_that_came_before_the_daemon_are_adopted(boot):
    guest = boot(append="memplug.nodaemon", overlays=[NO_OVERRIDE])
    guest.plug_dimm("dimm")
    guest.wait_states("dimm", "offline")
    guest.start_daemon()
    guest.wait_states("dimm", "online", "Movable")


def test_the_agents_figures_are_the_kernels(guest, agent, dimm):
    status = agent.call("memory-get-status")
    blocks = guest.blocks().values()
    size = guest.block_size()
    assert status["block-size"] == size
    assert status["online-movable"] == GIB
    assert status["guest-current"] == sum(size for block in blocks if block.state == "online")
    assert status["guest-current"] - status["guest-at-boot"] == GIB
    assert status["offline"] == 0
    assert status["boot-id"] == guest.shells.output(
        "cat /proc/sys/kernel/random/boot_id").strip()


def test_the_agent_names_the_dimm_by_its_slot(guest, agent, dimm):
    plugged = guest.dimm(dimm)

    def listed():
        return [device for device in agent.call("memory-get-devices")
                if device.get("slot") == plugged["slot"] and device["kind"] == "dimm"]

    # The kernel says which device a block belongs to only after it has brought the block online.
    found, = wait_until(listed, "the agent to list the DIMM")
    assert (found["address"], found["size"]) == (plugged["addr"], plugged["size"])
    assert found["state"] == "in-use"
    assert found["online-movable"] == plugged["size"]
    assert found["first-block"] == plugged["addr"] // guest.block_size()
    assert found["block-count"] == 8


def test_a_qemu_ga_client_sees_the_same_blocks(guest, agent, dimm):
    listed = agent.call("guest-get-memory-blocks")
    assert {entry["phys-index"]: entry["online"] for entry in listed} == {
        index: block.state == "online" for index, block in guest.blocks().items()}
    movable = {entry["phys-index"] for entry in listed if entry["can-offline"]}
    assert set(guest.dimm_blocks(dimm)) <= movable
    assert agent.call("guest-get-memory-block-info") == {"size": guest.block_size()}


def test_a_connection_may_end_in_the_middle_of_a_request(guest):
    with guest.channel() as first:
        first.send_raw(b'{"execute": "guest-pi')
    with guest.channel() as second:
        assert second.call("guest-ping") == {}

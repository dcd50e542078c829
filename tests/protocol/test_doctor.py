"""memplugctl doctor, on made-up systems."""
import gzip
import json
import os
import subprocess
import tempfile

import pytest

from bus import Peer
from daemon import BUILD, PATIENCE_S, Daemon, Tree, wait_until

OWN = "usr/lib/udev/rules.d/39-memplug-online.rules"
RED_HAT = """# Memory hotadd request
SUBSYSTEM!="memory", GOTO="memory_hotplug_end"
ACTION!="add", GOTO="memory_hotplug_end"

ENV{.state}="online"
ATTR{state}=="offline", \\
  ATTR{state}="$env{.state}"
LABEL="memory_hotplug_end"
"""


@pytest.fixture
def tree(tmp_path):
    """A guest in good health."""
    made = Tree(tmp_path)
    made.write(OWN, 'SUBSYSTEM=="memory", ATTR{state}="online_movable"\n')
    made.write("proc/cmdline", "quiet memhp_default_state=online_movable\n")
    made.write("sys/class/virtio-ports/vport0p1/name", "org.memplug.agent.0\n")
    folder = tmp_path / "sys/bus/acpi/devices"
    folder.mkdir(parents=True)
    (folder / "PNP0C80:00").symlink_to("../../../devices/LNXSYSTM:00/PNP0C80:00")
    return made


def doctor(tree, **options):
    """Returns (exit status, findings)."""
    done = subprocess.run([str(BUILD / "memplugctl"), "doctor", "--json", "--sysroot",
                           str(tree.root)], stdout=subprocess.PIPE, timeout=PATIENCE_S,
                          check=False, **options)
    return done.returncode, json.loads(done.stdout)


def bad(tree):
    status, findings = doctor(tree)
    found = [finding for finding in findings if finding["verdict"] == "bad"]
    assert status == (1 if found else 0)
    return found


def only_bad(tree, subject):
    found = bad(tree)
    assert [finding["subject"] for finding in found] == [subject]
    return found[0]


def test_healthy(tree):
    status, findings = doctor(tree)
    assert status == 0
    assert {finding["verdict"] for finding in findings} == {"good"}


def test_old_kernel(tree):
    tree.write("proc/sys/kernel/osrelease", "5.7.19\n")
    assert "5.7.19" in only_bad(tree, "kernel")["desc"]


def test_kernel_options(tree):
    tree.write("boot/config-6.1.0-test", "CONFIG_MEMORY_HOTPLUG=y\nCONFIG_ACPI_HOTPLUG_MEMORY=y\n"
                                         "CONFIG_MIGRATION=y\n")
    assert only_bad(tree, "kernel options")["desc"] == "CONFIG_MEMORY_HOTREMOVE is not set"


def test_kernel_onlines_by_itself(tree):
    tree.write("sys/devices/system/memory/auto_online_blocks", "online\n")
    assert "echo online_movable" in only_bad(tree, "auto_online_blocks")["fix"]


def test_kernel_onlines_as_policy_auto_wants(tree):
    """What memplugd sets itself is not held against it."""
    tree.write("sys/devices/system/memory/auto_online_blocks", "online\n")
    tree.write("sys/module/memory_hotplug/parameters/online_policy", "auto-movable\n")
    assert bad(tree) == []


def test_command_line_that_onlines_in_a_kernel_zone(tree):
    tree.write("proc/cmdline", "quiet memhp_default_state=online\n")
    finding = only_bad(tree, "kernel command line")
    assert "memhp_default_state=online:" in finding["desc"]
    assert "memhp_default_state=online_movable" in finding["fix"]


def test_command_line_that_says_nothing_of_new_memory(tree):
    tree.write("proc/cmdline", "quiet movable_node\n")
    verdicts = [finding["verdict"] for finding in doctor(tree)[1]
                if finding["subject"] == "kernel command line"]
    assert verdicts == ["good", "note"]


def test_no_memory_blocks(tree):
    (tree.root / "sys/devices/system/memory/block_size_bytes").unlink()
    subjects = {finding["subject"] for finding in bad(tree)}
    assert "block size" in subjects
    assert "EiB" not in json.dumps(doctor(tree)[1])


@pytest.mark.parametrize("rule", [
    'KERNEL=="memory[0-9]*", ACTION=="add", ATTR{state}="online"',
    'SUBSYSTEM=="memory", ACTION=="add", ATTR{online}="1"',
    'SUBSYSTEM=="memory", RUN+="/bin/sh -c \'echo online > /sys$devpath/state\'"',
])
def test_other_ways_to_online(tree, rule):
    tree.write("etc/udev/rules.d/10-first.rules", "# hot-plug\n" + rule + "\n")
    assert "10-first.rules, line 2, brings memory online" in only_bad(tree, "udev rule")["desc"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_rule_that_cannot_be_read():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        tree = Tree(folder)
        tree.write("etc/udev/rules.d/10-first.rules", RED_HAT)
        (tree.root / "etc/udev/rules.d/10-first.rules").chmod(0)
        _, findings = doctor(tree, user=65534, group=65534)
    assert "/etc/udev/rules.d/10-first.rules cannot be read" in json.dumps(findings)


def test_own_rule_beats_later_ones(tree):
    tree.write("usr/lib/udev/rules.d/40-redhat.rules", RED_HAT)
    assert bad(tree) == []
    # For new memory; what a trigger does to a prepared block, memory-get-status warns of too.
    note, = [finding for finding in doctor(tree)[1] if finding["verdict"] == "note"]
    assert "40-redhat.rules, line 6, " in note["desc"] and "udevadm trigger" in note["desc"]
    assert note["fix"] == ("sed '6,7d' /usr/lib/udev/rules.d/40-redhat.rules "
                           ">/etc/udev/rules.d/40-redhat.rules && udevadm control --reload")


def test_an_earlier_rule(tree):
    tree.write("etc/udev/rules.d/10-first.rules", RED_HAT)
    finding = only_bad(tree, "udev rule")
    assert "/etc/udev/rules.d/10-first.rules, line 6, " in finding["desc"]
    assert "sed -i '6,7d' /etc/udev/rules.d/10-first.rules" in finding["fix"]


def test_a_masked_rule_is_not_in_force(tree):
    tree.write("usr/lib/udev/rules.d/10-first.rules", RED_HAT)
    folder = tree.root / "etc/udev/rules.d"
    folder.mkdir(parents=True)
    (folder / "10-first.rules").symlink_to("/dev/null")
    assert bad(tree) == []


def test_own_rule_missing(tree):
    (tree.root / OWN).unlink()
    tree.write("usr/lib/udev/rules.d/40-redhat.rules", RED_HAT)
    found = bad(tree)
    assert [finding["subject"] for finding in found] == ["udev rule"] * 2
    assert "40-redhat.rules, line 6, " in found[1]["desc"]


def test_commented_rules_do_nothing(tree):
    tree.write("etc/udev/rules.d/10-first.rules",
               '#SUBSYSTEM=="memory", ATTR{state}="online"\n')
    assert bad(tree) == []


def test_dimm_in_a_kernel_zone(tree):
    tree.block(33, "Normal")
    assert "1 of its 4 blocks" in only_bad(tree, "DIMM")["desc"]


def test_dimm_without_blocks(tree):
    tree.write("sys/bus/acpi/devices/PNP0C80:01/status", "15\n")
    tree.write("sys/bus/acpi/devices/PNP0C80:02/status", "0\n")  # an empty slot
    finding = only_bad(tree, "DIMM")
    assert "PNP0C80:01" in finding["desc"] and "128 MiB" in finding["fix"]


def test_too_much_movable(tree):
    zones = ("Node 0, zone %s\n  pages free 5\n        high 1\n        present  %d\n"
             "        managed  5\n")
    tree.write("proc/zoneinfo", zones % ("Normal", 1000) + zones % ("Movable", 9000))
    assert "more than 301 percent" in only_bad(tree, "zones")["desc"]


def test_notes_do_not_fail(tree):
    tree.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n")
    tree.write("sys/bus/virtio/drivers/virtio_balloon/virtio1/x", "")
    tree.write("sys/class/virtio-ports/vport0p1/name", "something.else\n")
    status, findings = doctor(tree)
    notes = {finding["subject"] for finding in findings if finding["verdict"] == "note"}
    assert status == 0
    assert notes == {"huge pages", "virtio_balloon", "port"}


@pytest.mark.parametrize("driver, device", [
    ("sys/bus/virtio/drivers/virtio_balloon", "virtio3"),
    ("sys/bus/vmbus/drivers/hv_balloon", "vmbus_4"),
    ("sys/devices/system/xen_memory", "xen_memory0")])
def test_balloons(tree, driver, device):
    assert "balloon" not in json.dumps(doctor(tree)[1])
    (tree.root / driver / device).mkdir(parents=True)
    status, findings = doctor(tree)
    note, = [finding for finding in findings if "balloon" in finding["subject"]]
    assert (status, note["verdict"]) == (0, "note")


# --- what only a running daemon knows ---

def ctl(daemon, *arguments):
    return subprocess.run([str(BUILD / "memplugctl"), *arguments], env=daemon.environment,
                          stdout=subprocess.PIPE, timeout=PATIENCE_S, check=False, text=True).stdout


def on_bus(daemon):
    with Peer(daemon) as peer:
        wait_until(lambda: peer.call("GetPolicy") is None, "memplugd to be on the bus")


def port_of(daemon):
    finding, = [one for one in json.loads(ctl(daemon, "doctor", "--json"))
                if one["subject"] == "port"]
    return finding


def test_a_port_that_cannot_be_opened(tmp_path):
    """The daemon runs, and no host can reach it: everything that shows its state says so."""
    port = tmp_path / "port"
    with Daemon(bus=True, port=port) as daemon, Peer(daemon) as peer:
        on_bus(daemon)
        assert peer.text("PortError") == "there is no port %s" % port
        assert port_of(daemon)["verdict"] == "note"
        peer.listen()
        port.mkdir()
        peer.signal("PropertiesChanged")
        problem = "cannot open the port %s: Is a directory" % port
        assert peer.text("PortError") == problem
        finding = port_of(daemon)
        assert (finding["verdict"], problem in finding["desc"]) == ("bad", True)
        assert "no host can reach this daemon: " + problem in ctl(daemon, "status")
        assert json.loads(ctl(daemon, "status", "--json"))["port-error"] == problem
        port.rmdir()
        os.mkfifo(port)
        wait_until(lambda: peer.text("PortError") == "", "the port to be open")
        assert port_of(daemon)["verdict"] != "bad"
        assert "no host" not in ctl(daemon, "status")
        assert "port-error" not in json.loads(ctl(daemon, "status", "--json"))


def test_the_daemons_own_words_count():
    """doctor looks at this machine, and the daemon that it finds on the bus at a tree."""
    with Daemon(bus=True) as daemon:
        daemon.tree.block(33, "Normal")
        daemon.tree.write("etc/udev/rules.d/10-first.rules", RED_HAT)
        on_bus(daemon)
        warnings = json.loads(ctl(daemon, "status", "--json"))["warnings"]
        found = [one for one in json.loads(ctl(daemon, "doctor", "--json")) if "code" in one]
    assert {one["code"] for one in found} >= {"kernel-zone-blocks", "udev-rule"}
    assert [(one["code"], one["desc"]) for one in found] == \
        [(one["code"], one["desc"]) for one in warnings]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_another_user_is_told_what_can_be_told():
    """The daemon's policy counts (none: nothing is wrong with a rule), its status is root's."""
    with Daemon(bus=True, config="[online]\npolicy=none\n") as daemon:
        on_bus(daemon)
        done = subprocess.run([str(BUILD / "memplugctl"), "doctor", "--json"], user=65534,
                              env=daemon.environment, stdout=subprocess.PIPE, timeout=PATIENCE_S,
                              check=False)
    found = json.loads(done.stdout)
    told = [one["desc"] for one in found if one["subject"] == "daemon" and one["verdict"] == "note"]
    assert "does not tell this user" in told[0]
    assert not {"offline-blocks", "udev-rule", "kernel-auto-online"} & {
        one.get("code") for one in found}


# --- what is said of the kernel ---

def of_subject(tree, subject):
    return [one for one in doctor(tree)[1] if one["subject"] == subject]


@pytest.mark.parametrize("option, verdict, word", [
    ("# CONFIG_MEMORY_HOTPLUG_DEFAULT_ONLINE is not set", "good", "leaves DIMMs"),  # Debian 11, 12
    ("CONFIG_MEMORY_HOTPLUG_DEFAULT_ONLINE=y", "note", "online in a kernel zone"),  # Debian 13
    ("CONFIG_MHP_DEFAULT_ONLINE_TYPE_OFFLINE=y", "good", "leaves DIMMs"),
    ("CONFIG_MHP_DEFAULT_ONLINE_TYPE_ONLINE_AUTO=y", "note", "online in a kernel zone"),
    ("CONFIG_MHP_DEFAULT_ONLINE_TYPE_ONLINE_KERNEL=y", "note", "online in a kernel zone"),
    ("CONFIG_MHP_DEFAULT_ONLINE_TYPE_ONLINE_MOVABLE=y", "good", "online as movable"),
])
@pytest.mark.parametrize("packed", [False, True])
def test_what_the_kernel_does_at_boot(tree, option, verdict, word, packed):
    text = "CONFIG_MEMORY_HOTPLUG=y\n%s\nCONFIG_MIGRATION=y\n" % option
    tree.write("proc/cmdline", "quiet\n")
    if packed:
        (tree.root / "proc/config.gz").write_bytes(gzip.compress(text.encode()))
    else:
        tree.write("boot/config-6.1.0-test", text)
    finding, = of_subject(tree, "kernel command line")
    assert finding["verdict"] == verdict and word in finding["desc"]
    assert "may" not in finding["desc"].split()
    assert ("boot-policy movable" in (finding.get("fix") or "")) == (verdict == "note")


def test_a_kernel_that_does_not_tell(tree):
    tree.write("proc/cmdline", "quiet\n")
    finding, = of_subject(tree, "kernel command line")
    assert finding["verdict"] == "note" and "may come online" in finding["desc"]


@pytest.mark.parametrize("release, version, hangs", [
    ("6.18.3-1-default", "", "is known to hang"), ("6.18.4", "", None), ("6.17.13+deb14-amd64", "",
                                                                        "is known to hang"),
    ("6.12.57+deb13-amd64", "Linux version 6.12.57+deb13-amd64 (x) Debian 6.12.57-1 (y)", "may hang"),
    ("6.12.74+deb13-amd64", "Linux version 6.12.74+deb13-amd64 (x) Debian 6.12.74-2 (y)", None),
    ("6.1.0-37-amd64", "Linux version 6.1.0-37-amd64 (x) #1 SMP Debian 6.1.140-1 (y)", "may hang"),
    ("6.1.0-44-amd64", "Linux version 6.1.0-44-amd64 (x) #1 SMP Debian 6.1.164-1 (y)", None),
    ("6.8.0-90-generic", "", None), ("7.2.13", "", None), ("5.10.0-1-amd64", "", None)])
def test_kernels_that_hang(tree, release, version, hangs):
    tree.write("proc/sys/kernel/osrelease", release + "\n")
    tree.write("proc/version", version + "\n")
    found = [one for one in of_subject(tree, "kernel") if "hang" in one["desc"]]
    assert [hangs in one["desc"] for one in found] == ([True] if hangs else [])


@pytest.mark.parametrize("how", ["reserved", "command line", "overcommit", None])
def test_huge_pages_of_1_gib(tree, how):
    pages = "sys/kernel/mm/hugepages/hugepages-1048576kB/"
    tree.write(pages + "nr_hugepages", "%d\n" % (how == "reserved"))
    tree.write(pages + "nr_overcommit_hugepages", "%d\n" % (how == "overcommit"))
    if how == "command line":
        tree.write("proc/cmdline", "memhp_default_state=online_movable hugepagesz=1G hugepages=2\n")
    told = [one for one in of_subject(tree, "huge pages") if "cannot give any" in one["desc"]]
    assert [one["verdict"] for one in told] == (["note"] if how else [])
    tree.write("proc/sys/vm/movable_gigantic_pages", "1\n")
    assert not [one for one in of_subject(tree, "huge pages") if "cannot give" in one["desc"]]


@pytest.mark.parametrize("path, files", [
    ("sys/bus/virtio/devices/virtio3", {"device": "0x0018"}),
    ("sys/bus/pci/devices/0000:00:05.0", {"vendor": "0x1af4", "device": "0x1058"}),
])
def test_virtio_mem_without_a_driver(tree, path, files):
    """Nothing else in the guest shows such a device; with a driver it is none of doctor's business."""
    for name, text in files.items():
        tree.write("%s/%s" % (path, name), text + "\n")
    finding = only_bad(tree, "virtio_mem")
    assert finding["code"] == "virtio-mem-no-driver"
    assert path.rsplit("/", 1)[1] in finding["desc"] and "modprobe virtio_mem" in finding["fix"]
    (tree.root / path / "driver").symlink_to("../../drivers/some")
    assert bad(tree) == []


def test_other_devices_without_a_driver(tree):
    tree.write("sys/bus/virtio/devices/virtio3/device", "0x0005\n")
    tree.write("sys/bus/pci/devices/0000:00:05.0/device", "0x1058\n")
    tree.write("sys/bus/pci/devices/0000:00:05.0/vendor", "0x8086\n")
    assert bad(tree) == []


def zones(**pages):
    """/proc/zoneinfo of zones that have (free, page cache, present) pages."""
    return "".join("Node 0, zone %8s\n  pages free     %d\n        high     1000\n"
                   "        present  %d\n      nr_zone_inactive_file %d\n" % (name, free, present, cache)
                   for name, (free, cache, present) in pages.items())


@pytest.mark.parametrize("pages, is_low", [
    ({"DMA32": (1500, 0, 131072), "Normal": (1500, 0, 131072), "Movable": (200000, 0, 262144)}, True),
    ({"DMA32": (1500, 0, 131072), "Normal": (1500, 30000, 131072), "Movable": (200000, 0, 262144)}, False),
    ({"DMA32": (1500, 0, 131072), "Normal": (1500, 0, 131072), "Movable": (2000, 0, 262144)}, False),
    ({"DMA32": (1500, 0, 131072), "Normal": (9000, 0, 131072), "Movable": (200000, 0, 262144)}, False),
])
def test_kernel_memory(tree, pages, is_low):
    """Low where the kernel's zones are, and movable memory is free: else it is memory that is short."""
    tree.write("proc/zoneinfo", zones(**pages))
    if not is_low:
        assert bad(tree) == []
        return
    finding = only_bad(tree, "zones")
    assert finding["code"] == "kernel-memory-low"
    assert "11.7 MiB to spare and should have 64 MiB, while 781.3 MiB of" in finding["desc"]


def test_the_ratio_counts_all_kernel_memory(tree):
    """Memory that was added to the kernel's zones later is the kernel's too."""
    movable = {"DMA32": (50000, 0, 98048), "Movable": (800000, 0, 884736)}
    tree.write("proc/zoneinfo", zones(**movable))
    assert "3.4 GiB of movable memory" in only_bad(tree, "zones")["desc"]
    assert "of the 383 MiB that the kernel" in only_bad(tree, "zones")["desc"]
    tree.write("proc/zoneinfo", zones(Normal=(50000, 0, 2310144), **movable))
    assert bad(tree) == []


def test_addresses_that_are_hidden(tree):
    """From an ordinary user: that is no kernel without memory blocks."""
    tree.write("proc/iomem", "00000000-00000000 : System RAM\n")
    findings = doctor(tree)[1]
    note, = [finding for finding in findings if finding["subject"] == "memory blocks"]
    assert "/proc/iomem: Operation not permitted" in note["desc"]
    assert "CONFIG_MEMORY_HOTPLUG" not in json.dumps(findings)

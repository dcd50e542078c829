"""What udev rules do to memory: one reader, so the daemon and doctor say the same of every tree."""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from daemon import BUILD, PATIENCE_S, Tree
from sysroot import ROOT, memplugd, unpack

from guest import Channel

SYSTEMS = ROOT / "tests" / "distro-rules"
ETC, LIB = "etc/udev/rules.d/", "usr/lib/udev/rules.d/"
OWN = LIB + "39-memplug-online.rules"
BOTH = "online or online_movable"
# system -> (line, verb, what is written) of each rule that brings memory online.
EXPECTED = {
    "rhel-7.4": [(4, "may bring", "online")],
    "rhel-7.6": [(10, "may bring", BOTH)],
    "rhel-9": [(11, "brings", "online")],
    "rhel-10": [(18, "brings", "online")],
    "openeuler": [(4, "may bring", "online")],
    "suse": [(3, "brings", "online")],
    "ubuntu": [(8, "may bring", "online")],
    "ubuntu-22.04": [(8, "may bring", "online")],
    "photon": [(2, "brings", "online")],
    "nixos-hyperv": [(2, "brings", "online")],
    "hyper-v-guide": [(2, "brings", "online")],
    "own-script": [(2, "brings", "online")],
    "kexec-tools": [],
    "kdump-tools": [],
}
KDUMP_LINES = {"kexec-tools": [13], "kdump-tools": [2, 3]}


def doctor(root, **options):
    done = subprocess.run([str(BUILD / "memplugctl"), "doctor", "--json", "--sysroot", str(root)],
                          stdout=subprocess.PIPE, timeout=PATIENCE_S, check=False, **options)
    return json.loads(done.stdout)


def judge(root):
    """What both say of the tree: [finding], once it is certain that they say the same."""
    with tempfile.TemporaryDirectory() as folder, \
            memplugd(Path(folder) / "run", "--sysroot=%s" % root) as (sock, _), \
            Channel(sock) as channel:
        warnings = channel.call("memory-get-status")["warnings"]
    found = doctor(root)
    coded = [finding for finding in found if "code" in finding]
    assert [(finding["code"], finding["desc"]) for finding in coded] == \
        [(warning["code"], warning["desc"]) for warning in warnings]
    assert {finding["verdict"] for finding in coded} <= {"bad", "note"}
    return found


def rules_in(found):
    return [finding for finding in found if finding.get("code") == "udev-rule"]


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "root")


def judge_rule(tree, *lines, place=ETC + "40-x.rules"):
    """The warnings about a file with these lines."""
    tree.write(place, "\n".join(lines) + "\n")
    return rules_in(judge(tree.root))


def test_every_system_is_expected():
    assert {path.name for path in SYSTEMS.iterdir() if path.is_dir()} == set(EXPECTED)


@pytest.mark.parametrize("system", sorted(EXPECTED))
def test_distribution(tree, system):
    file, = (SYSTEMS / system).iterdir()
    tree.write(LIB + file.name, file.read_text())
    found = judge(tree.root)
    assert len(rules_in(found)) == len(EXPECTED[system])
    for finding, (line, verb, writes) in zip(rules_in(found), EXPECTED[system]):
        assert "/%s%s, line %d, %s memory online by " % (LIB, file.name, line, verb) \
            in finding["desc"]
        assert " %s to its state" % writes in finding["desc"]
    lines = [line for line in KDUMP_LINES.get(system, [])]
    kdump = [finding["desc"] for finding in found if finding["subject"] == "kdump"]
    assert len(kdump) == len(lines)
    for line, desc in zip(lines, kdump):
        assert "%s, line %d, has a program" % (file.name, line) in desc


@pytest.mark.parametrize("system", sorted(name for name in EXPECTED if EXPECTED[name]))
def test_the_cure_leaves_cpus_alone(tree, system):
    file, = (SYSTEMS / system).iterdir()
    tree.write(LIB + file.name, file.read_text())
    (tree.root / ETC).mkdir(parents=True)
    finding, = rules_in(judge(tree.root))
    # The command as it is printed, on the tree.
    sed = finding["fix"].split(" && ")[0].replace("/etc/", "%s/etc/" % tree.root).replace(
        " /usr/", " %s/usr/" % tree.root)
    subprocess.run(["sh", "-c", sed], check=True)
    assert rules_in(judge(tree.root)) == []
    kept = (tree.root / ETC / file.name).read_text().splitlines()
    cpu = [line for line in file.read_text().splitlines() if "ATTR{online}=" in line]
    assert [line for line in kept if "ATTR{online}=" in line] == cpu
    assert len(file.read_text().splitlines()) - len(kept) == 1


def test_rules_that_debian_ships(tree):
    """Those of the udev package that guests boot with, and of this machine: none touches memory."""
    files = [file for folder in (ROOT / "build/guest/unpacked/lib/udev/rules.d",
                                 Path("/usr/lib/udev/rules.d")) if folder.is_dir()
             for file in folder.glob("*.rules") if "memplug" not in file.name]
    for file in files:
        tree.write(LIB + file.name, file.read_text())
    found = judge(tree.root)
    assert rules_in(found) == [] and not any(one["subject"] == "kdump" for one in found)


@pytest.mark.parametrize("line", [
    'SUBSYSTEM=="memory", ATTR{state}:="online"',
    'SUBSYSTEM=="memory", ATTR{state}+="online"',
    'SUBSYSTEM=="mem*", ATTR{state}="online"',
    'SUBSYSTEM=="cpu|memory", ATTR{state}="online"',
    'SUBSYSTEM==i"MEMORY", ATTR{state}="online"',
    'SUBSYSTEM!="cpu", KERNEL=="memory[0-9]*", ATTR{state}="online_kernel"',
    'SUBSYSTEM == "memory" , ACTION == "add|change" , ATTR{state} = "online"',
    'SUBSYSTEM=="memory",ACTION=="offline",ATTR{state}="online"',
    'DEVPATH=="*/memory/memory*", ATTR{online}="1"',
    'SUBSYSTEMS=="memory", ATTR{online}="y"',
    'SUBSYSTEM=="memory", ATTR{state}=e"\\x6fnline"',
    'ENV{SUBSYSTEM}=="memory", ATTR{state}="online"',
    'SUBSYSTEM=="memory", DRIVER=="", CONST{arch}!="s390*", ATTR{state}="online"',
    'SUBSYSTEM=="memory", RUN+="/usr/bin/chmem -e 0x100000000-0x17fffffff"',
    'SUBSYSTEM=="memory", RUN{program}+="/bin/sh -c \'echo 1 > /sys%p/online\'"',
    'SUBSYSTEM=="memory", PROGRAM="/bin/sh -c \'echo online > /sys$devpath/state\'"',
])
def test_onlines(tree, line):
    finding, = judge_rule(tree, "# first", line)
    assert "40-x.rules, line 2, brings memory online" in finding["desc"]


@pytest.mark.parametrize("line", [
    'SUBSYSTEM=="memory", TEST=="/etc/online-memory", ATTR{state}="online"',
    'SUBSYSTEM=="memory", ENV{ID_X}=="1", ATTR{state}="online"',
    'SUBSYSTEM=="memory", PROGRAM="/bin/true", ATTR{state}="online"',
    'KERNEL=="memory32", ATTR{state}="online"',
    'SUBSYSTEM=="memory", ATTR{state}="$env{WANTED}"',
    'SUBSYSTEM=="memory", ATTR{[dmi/id]sys_vendor}=="QEMU", ATTR{state}="online"',
])
def test_may_online(tree, line):
    finding, = judge_rule(tree, line)
    assert "40-x.rules, line 1, may bring memory online" in finding["desc"]


@pytest.mark.parametrize("line", [
    'SUBSYSTEM=="cpu", ACTION=="add", TEST=="online", ATTR{online}=="0", ATTR{online}="1"',
    '#SUBSYSTEM=="memory", ATTR{state}="online"',
    'SUBSYSTEM=="Memory", ATTR{state}="online"',
    'SUBSYSTEM!="mem*", ATTR{state}="online"',
    'SUBSYSTEM=="memory", ACTION=="remove", ATTR{state}="online"',
    'SUBSYSTEM=="memory", ATTR{state}=="online", ENV{SEEN}="1"',
    'SUBSYSTEM=="memory", ATTR{state}="offline"',
    'SUBSYSTEM=="memory", ATTR{online}="0"',
    'SUBSYSTEM=="memory", ATTR{state}="on"',
    'SUBSYSTEM=="memory", ATTR{power/state}="online"',
    'SUBSYSTEM=="memory", ATTR{state}="online_movable"',
    'SUBSYSTEM=="memory", DRIVER=="nvdimm", ATTR{state}="online"',
    'SUBSYSTEM=="memory", KERNEL=="memory_tier*", ATTR{state}="online"',
    'SUBSYSTEM=="memory", CONST{arch}=="s390*", ATTR{state}="online"',
    'SUBSYSTEM=="memory", ATTR{state}="online" NO_SUCH_KEY="1"',
    'SUBSYSTEM="memory", ATTR{state}="online"',
    'SUBSYSTEM=="memory" ATTR{state}="online',
    'SUBSYSTEM=="memory", RUN+="/usr/bin/chmem -d 1g"',
    'SUBSYSTEM=="memory", RUN+="/bin/sh -c \'echo offline > /sys%p/state\'"',
    'SUBSYSTEM=="memory", RUN+="/bin/sh -c \'echo online_movable > /sys%p/state\'"',
])
def test_does_not_online(tree, line):
    assert judge_rule(tree, line) == []


@pytest.mark.parametrize("text, is_told", [
    ("#!/bin/sh\necho online >/sys/devices/system/memory/$1/state\n", True),
    ("#!/bin/sh\nexec chmem --enable --range $1\n", True),
    ("#!/bin/sh\nlogger $1\n", False), ("ELF online state", False)])
@pytest.mark.parametrize("place, command", [("usr/local/sbin/plug", "/usr/local/sbin/plug %k"),
                                            ("usr/lib/udev/plug", "plug %k")])
def test_a_script_is_read(tree, text, is_told, place, command):
    tree.write(place, text)
    found = judge_rule(tree, 'SUBSYSTEM=="memory", RUN+="%s"' % command)
    assert ["may bring memory online by running" in one["desc"] for one in found] == \
        ([True] if is_told else [])


@pytest.mark.parametrize("line", [
    'LABEL="here", SUBSYSTEM=="memory", ATTR{state}=="offline", ATTR{state} := "online"',
    'SUBSYSTEM=="memory", TEST=="state", ATTR{online}="1", GOTO="there"',
    'LABEL="here", SUBSYSTEM=="memory", RUN+="/usr/bin/chmem -e 1g"'])
def test_the_cure_leaves_labels_and_jumps(tree, line):
    rest = ['GOTO="here"', 'KERNEL=="sda", MODE="0600"', line, 'LABEL="there"']
    finding, = judge_rule(tree, *rest)
    sed = finding["fix"].split(" && ")[0].replace("/etc/", "%s/etc/" % tree.root)
    subprocess.run(["sh", "-c", sed], check=True)
    assert rules_in(judge(tree.root)) == []
    kept = (tree.root / ETC / "40-x.rules").read_text().splitlines()
    assert len(kept) == len(rest)
    assert re.findall(r'\w+="\w*here"', kept[2]) == re.findall(r'\w+="\w*here"', line)


def test_what_a_sure_jump_passes_over_does_nothing(tree):
    assert judge_rule(tree, 'SUBSYSTEM=="memory", GOTO="end"', 'ATTR{state}="online"',
                      'LABEL="end"') == []


def test_a_jump_that_is_not_sure_goes_both_ways(tree):
    finding, = judge_rule(tree, 'TEST=="/etc/leave-memory", GOTO="end"',
                          'SUBSYSTEM=="memory", ATTR{state}="online"', 'LABEL="end"')
    assert "line 2, may bring" in finding["desc"]


def test_where_both_ways_meet_all_is_certain_again(tree):
    finding, = judge_rule(tree, 'TEST=="/etc/x", GOTO="end"', 'ENV{X}="1"', 'LABEL="end"',
                          'SUBSYSTEM=="memory", ATTR{state}="online"')
    assert "line 4, brings" in finding["desc"]


def test_a_jump_without_a_label_is_none(tree):
    finding, = judge_rule(tree, 'LABEL="end"', 'SUBSYSTEM=="memory", GOTO="end"',
                          'SUBSYSTEM=="memory", ATTR{state}="online"')
    assert "line 3, brings" in finding["desc"]


def test_continued_lines(tree):
    finding, = judge_rule(tree, 'SUBSYSTEM=="memory", \\', "# a comment between", '  ACTION=="add", \\',
                          '  ATTR{state}="online"', 'SUBSYSTEM=="cpu", ATTR{online}="1"')
    assert "line 1, brings" in finding["desc"]
    assert "sed -i '1,4d' /etc/udev/rules.d/40-x.rules" in finding["fix"]


def test_a_property_is_followed(tree):
    finding, = judge_rule(tree, 'ENV{.kind}="online_movable"', 'TEST=="/etc/x", ENV{.kind}="online"',
                          'SUBSYSTEM=="memory", ATTR{state}="%E{.kind}"')
    assert BOTH in finding["desc"]
    tree.write(ETC + "40-x.rules", 'ENV{.kind}="online_movable"\n'
                                   'SUBSYSTEM=="memory", ATTR{state}="$env{.kind}"\n')
    assert rules_in(judge(tree.root)) == []


def test_a_vendor_that_can_be_read_decides(tree):
    line = 'SUBSYSTEM=="memory", ATTR{[dmi/id]sys_vendor}=="Xen", ATTR{state}="online"'
    assert "may bring" in judge_rule(tree, line)[0]["desc"]
    tree.write("sys/class/dmi/id/sys_vendor", "QEMU\n")
    assert rules_in(judge(tree.root)) == []
    tree.write("sys/class/dmi/id/sys_vendor", "Xen\n")
    assert " brings" in rules_in(judge(tree.root))[0]["desc"]


def test_crash_hotplug_spares_the_reload(tree):
    file, = (SYSTEMS / "kexec-tools").iterdir()
    tree.write(LIB + file.name, file.read_text())
    tree.write("sys/devices/system/memory/crash_hotplug", "1\n")
    assert not any(one["subject"] == "kdump" for one in judge(tree.root))


RULE = 'SUBSYSTEM=="memory", ATTR{state}="online"'


@pytest.mark.parametrize("hider, hidden", [("etc", "run"), ("etc", "usr/local/lib"),
                                           ("run", "usr/lib"), ("usr/local/lib", "usr/lib")])
@pytest.mark.parametrize("how", ["null", "empty", "other"])
def test_of_two_files_the_earlier_directory_counts(tree, hider, hidden, how):
    tree.write(hidden + "/udev/rules.d/40-x.rules", RULE + "\n")
    assert len(rules_in(judge(tree.root))) == 1
    place = tree.root / hider / "udev/rules.d/40-x.rules"
    place.parent.mkdir(parents=True)
    if how == "null":
        place.symlink_to("/dev/null")
    else:
        place.write_text("" if how == "empty" else 'KERNEL=="sda", MODE="0600"\n')
    assert rules_in(judge(tree.root)) == []


def test_a_link_to_nothing_hides_nothing(tree):
    tree.write(LIB + "40-x.rules", RULE + "\n")
    (tree.root / ETC).mkdir(parents=True)
    (tree.root / ETC / "40-x.rules").symlink_to("/etc/gone.rules")
    assert len(rules_in(judge(tree.root))) == 1


def test_own_rule_decides_what_is_bad(tree):
    tree.write(OWN, 'SUBSYSTEM=="memory", ATTR{state}="online_movable"\n')
    tree.write(ETC + "10-first.rules", RULE + "\n")
    tree.write(ETC + "90-last.rules", RULE + "\n")
    assert [one["verdict"] for one in rules_in(judge(tree.root))] == ["bad", "note"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_what_cannot_be_read_is_said():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        tree = Tree(folder)
        tree.write(ETC + "10-first.rules", RULE + "\n")
        (tree.root / ETC / "10-first.rules").chmod(0)
        finding, = rules_in(doctor(tree.root, user=65534, group=65534))
    assert "10-first.rules cannot be read (Permission denied)" in finding["desc"]
    assert finding["verdict"] == "note"


# --- the captured guests, and trees with other faults ---

@pytest.mark.parametrize("capture", sorted((ROOT / "tests/sysroots").glob("*.txt")),
                         ids=lambda path: path.stem)
def test_captured_guest(tmp_path, capture):
    unpack(capture.read_text(), tmp_path)
    judge(tmp_path)


def zoneinfo(kernel, movable):
    return "".join("Node 0, zone %8s\n  pages free     5\n        high     1\n"
                   "        spanned  %d\n        present  %d\n        managed  %d\n"
                   % (zone, n, n, n) for zone, n in (("Normal", kernel), ("Movable", movable)))


@pytest.mark.parametrize("movable", [2500, 3500, 4500])
def test_ratio(tree, movable):
    tree.write("proc/zoneinfo", zoneinfo(1000000, movable * 1000))
    found = [finding for finding in judge(tree.root) if finding["subject"] == "zones"]
    assert [finding["verdict"] for finding in found] == ["bad" if movable > 3010 else "good"]


@pytest.mark.parametrize("word, policy, is_bad", [
    ("online", "contig-zones", True), ("online", "auto-movable", False), ("online", "", True),
    ("online_kernel", "auto-movable", True), ("online_movable", "", False),
    ("offline", "contig-zones", False)])
def test_auto_online(tree, word, policy, is_bad):
    tree.write("sys/devices/system/memory/auto_online_blocks", word + "\n")
    tree.write("sys/module/memory_hotplug/parameters/online_policy", policy + "\n")
    finding, = [one for one in judge(tree.root) if one["subject"] == "auto_online_blocks"]
    assert finding["verdict"] == ("bad" if is_bad else "good")


def test_blocks(tree):
    tree.block(33, "Normal")
    (tree.root / "sys/devices/system/memory/memory34/state").write_text("offline\n")
    found = [finding for finding in judge(tree.root) if finding["subject"] == "DIMM"]
    assert [finding["code"] for finding in found] == ["kernel-zone-blocks", "offline-blocks"]


@pytest.mark.parametrize("held", [0, 40960])
@pytest.mark.parametrize("driver", ["sys/bus/virtio/drivers/virtio_balloon/virtio3",
                                    "sys/bus/vmbus/drivers/hv_balloon/vmbus_4"])
def test_balloon(tree, driver, held):
    (tree.root / driver).mkdir(parents=True)
    tree.write("proc/vmstat", "nr_free_pages 1\nballoon_inflate %d\nballoon_deflate 0\n" % held)
    judge(tree.root)

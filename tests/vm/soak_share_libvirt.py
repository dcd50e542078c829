"""libvirt, as it is in front of people's guests: a Debian whose only port is the one that hosts know. What virsh
says with qemu-ga alone there, it says through memplugd too, and memplugctl resizes the guest beside it."""
import base64
import json
import re
import threading
from pathlib import Path

import pytest

from guest.systemd_guest import SystemdImage
from guest.virsh import NAME, Virsh, VirshFailed
from guest.waiting import wait_until

PING = "qemu-agent-command %s '{\"execute\":\"guest-ping\"}'" % NAME
CTL = Path(__file__).resolve().parents[2] / "build" / "memplugctl"
DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <maxMemory slots='8' unit='GiB'>4</maxMemory>
  <memory unit='MiB'>768</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='{arch}' machine='q35'>hvm</type>
    <kernel>{folder}/vmlinuz</kernel>
    <initrd>{folder}/initrd</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 root=/dev/vda rw systemd.show_status=no</cmdline>
  </os>
  <features><acpi/></features>
  <cpu><numa><cell id='0' cpus='0-1' memory='768' unit='MiB'/></numa></cpu>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{folder}/disk.ext4'/><target dev='vda' bus='virtio'/>
    </disk>
    <serial type='file'><source path='{folder}/console.log'/></serial>
    <channel type='unix'><target type='virtio' name='{port}'/></channel>
  </devices>
</domain>
"""
# What differs from one moment to the next.
VARYING = re.compile(r"Time: \d+$|CPU time: .*|fs\.\d+\.used-bytes.*|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.M)


class Debian:
    """What Virsh wants to know of an image, of a Debian with the package in it."""

    def __init__(self):
        image = SystemdImage()
        image.make_installed()
        self.arch, self.kernel, self.disk = image.arch, image.debian_kernel, image.installed_disk
        self.initrd = image.initrd


class DebianVirsh(Virsh):
    """With a disk of its own, written to and thrown away."""

    def __init__(self, debian):
        super().__init__(debian, [debian.initrd.read_bytes()], DOMAIN, daemon=True)
        copy = self.folder / "disk.ext4"
        copy.write_bytes(b"")
        with open(debian.disk, "rb") as source, open(copy, "wb") as target:
            while True:
                piece = source.read(1 << 20)
                if not piece:
                    break
                if piece.strip(b"\0"):
                    target.write(piece)
                else:
                    target.seek(len(piece), 1)
            target.truncate(debian.disk.stat().st_size)


@pytest.fixture(scope="module")
def virsh():
    with DebianVirsh(Debian()) as started:
        seen = []
        try:
            wait_until(lambda: '"return"' in (seen.append(attempt(started, PING)) or seen[-1]), "qemu-ga", 300, 1)
        except AssertionError as problem:
            raise AssertionError("%s\n%s" % (seen[-1], started.describe())) from problem
        yield started


def attempt(virsh, command):
    """What virsh printed, or its error."""
    try:
        said = virsh.run(command)
    except VirshFailed as failure:
        return str(failure)
    return "\n".join(line for line in said.split("\n") if not line.startswith("virsh # ")).strip()


def agent(virsh, command, **arguments):
    return json.loads(virsh.agent(json.dumps({"execute": command, "arguments": arguments} if arguments
                                             else {"execute": command})))["return"]


def run_in_guest(virsh, *words):
    """As KubeVirt does: guest-exec with its output captured, then guest-exec-status until it has ended."""
    pid = agent(virsh, "guest-exec", path=words[0], arg=list(words[1:]), **{"capture-output": True})["pid"]
    ended = wait_until(lambda: (lambda status: status["exited"] and status)(
        agent(virsh, "guest-exec-status", pid=pid)), words[0], 120, 0.2)
    return ended["exitcode"], base64.b64decode(ended.get("out-data", "")).decode()


def copy_through(virsh):
    """As Proxmox does: a file is written and read in pieces, each call by its own."""
    content = bytes(range(256)) * 400
    handle = agent(virsh, "guest-file-open", path="/root/copied", mode="wb")
    for at in range(0, len(content), 30000):
        text = base64.b64encode(content[at:at + 30000]).decode()
        assert agent(virsh, "guest-file-write", handle=handle, **{"buf-b64": text})["count"] == len(
            content[at:at + 30000])
    agent(virsh, "guest-file-close", handle=handle)
    handle, got, is_over = agent(virsh, "guest-file-open", path="/root/copied", mode="rb"), b"", False
    while not is_over:
        piece = agent(virsh, "guest-file-read", handle=handle, count=40000)
        got, is_over = got + base64.b64decode(piece["buf-b64"]), piece["eof"]
    agent(virsh, "guest-file-close", handle=handle)
    return got == content


def walk(virsh):
    """What hosts do with an agent, and what they are told."""
    seen = {}
    for command in ["domtime %s", "domtime %s --pretty", "domtime %s --now", "dominfo %s",
                    "domhostname %s --source agent", "domfsinfo %s", "domfsfreeze %s", "domfsfreeze %s",
                    "qemu-agent-command %s '{{\"execute\":\"guest-fsfreeze-status\"}}'", "domfsthaw %s",
                    "domfsthaw %s", "domfstrim %s", "guestinfo %s --os --timezone --hostname --filesystem --user",
                    "guestvcpus %s", "setvcpus %s 1 --guest", "guestvcpus %s", "setvcpus %s 2 --guest",
                    "vcpucount %s --guest", "set-user-password %s ordinary secret",
                    "set-user-password %s nobody-at-all secret", "domifaddr %s --source agent",
                    "qemu-agent-command %s '{{\"execute\":\"guest-nope\"}}'"]:
        said = attempt(virsh, (command % NAME).replace("{{", "{").replace("}}", "}"))
        seen["%d %s" % (len(seen), command)] = VARYING.sub("~", said)
    seen["exec"] = run_in_guest(virsh, "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
    seen["no such program"] = attempt(
        virsh, "qemu-agent-command %s '%s'" % (NAME, '{"execute":"guest-exec","arguments":{"path":"/no/such"}}'))
    seen["copy"] = copy_through(virsh)
    return seen


def test_the_same_as_from_qemu_ga_alone(virsh):
    """A moment before and after the port is shared, by a command over the port itself."""
    before = walk(virsh)
    assert before["exec"] == (7, "out\n") and before["copy"], before
    assert sum(said.startswith("error") for said in map(str, before.values())) <= 6, before
    assert "has not been found" in attempt(virsh, "qemu-agent-command %s '{\"execute\":\"memory-get-map\"}'" % NAME)
    assert run_in_guest(virsh, "/usr/bin/systemd-run", "--no-block", "memplugctl", "share-port", "enable")[0] == 0
    wait_until(lambda: '"policy"' in attempt(virsh, "qemu-agent-command %s '{\"execute\":\"memory-get-status\"}'" % NAME),
               "memplugd on the port", 300, 1)
    wait_until(lambda: run_in_guest(virsh, "/usr/bin/memplugctl", "share-port", "status", "--json") ==
               (0, '{"enabled": true, "works": true}\n'), "the port to be shared", 60, 1)
    after = walk(virsh)
    assert {name: (said, after[name]) for name, said in before.items() if said != after[name]} == {}


def test_resized_while_virsh_goes_on(virsh):
    """Up and down again over the one port; whatever virsh asks meanwhile is answered."""
    ends, told, wrong = threading.Event(), [], []

    def ask_on():
        while not ends.is_set():
            for command in ("guest-get-osinfo", "memory-get-status", "guest-get-vcpus"):
                try:
                    told.append(agent(virsh, command))
                except (VirshFailed, ValueError, KeyError) as problem:
                    wrong.append(problem)

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        for size in ("1280M", "768M"):
            status, said = virsh.program(CTL, "--libvirt", NAME, "--json", "resize", size, timeout=300)
            assert status == 0, said
            assert json.loads(said)["by-guest"] == int(size[:-1]) << 20
    finally:
        ends.set()
        thread.join()
    assert wrong == [] and len(told) >= 3

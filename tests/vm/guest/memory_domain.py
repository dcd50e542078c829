"""A guest of libvirt's with DIMM slots and a virtio-mem device, whose one agent is memplugd; and memplugctl on its
host."""
import json
from pathlib import Path

from .initramfs import Archive
from .virsh import NAME, PORT, Virsh

CTL = Path(__file__).resolve().parents[3] / "build" / "memplugctl"
CONF = Archive()
CONF.file("etc/memplug/memplugd.conf.d/50-port.conf",
          "[channel]\npath=/dev/virtio-ports/%s\n" % PORT)
DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <maxMemory slots='8' unit='GiB'>8</maxMemory>
  <memory unit='MiB'>MEMORY</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='{arch}' machine='q35'>hvm</type>
    <kernel>{folder}/vmlinuz</kernel>
    <initrd>{folder}/initrd</initrd>
    <cmdline>console=ttyS0 quiet panic=-1</cmdline>
  </os>
  <features><acpi/></features>
  <cpu><numa><cell id='0' cpus='0' memory='1' unit='GiB'/></numa></cpu>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='{folder}/console.log'/></serial>
    <channel type='unix'><target type='virtio' name='{port}'/></channel>
    <memory model='virtio-mem'>
      <target>
        <size unit='GiB'>2</size>
        <node>0</node>
        <block unit='MiB'>2</block>
        <requested unit='KiB'>0</requested>
      </target>
      <alias name='ua-vmem'/>
    </memory>
    MORE
  </devices>
</domain>
"""


def memory_guest(image, dimms="", dimms_mib=0):
    """For a `with` statement: 1 GiB, and the <memory> elements `dimms` of `dimms_mib` together."""
    domain = DOMAIN.replace("MEMORY", str(1024 + dimms_mib)).replace("MORE", dimms)
    archives = [image.base.read_bytes(), image.memplugd.read_bytes(), CONF.pack()]
    return Virsh(image, archives, domain, daemon=True)


def host(virsh, *words):
    """memplugctl --libvirt; returns (exit status, report)."""
    status, said = virsh.program(CTL, "--libvirt", NAME, "--json", *words, timeout=300)
    print(words, status, said)
    return status, json.loads(next(line for line in said.splitlines() if line.startswith("{")))

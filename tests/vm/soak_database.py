"""A cache with its own memory limit, Debian's Redis, in a guest that is to give a DIMM back: without the
example's script the prepare is refused for want of memory, with it the cache shrinks, and whoever asks it
is answered all along."""
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import figures
from guest.image import ROOT
from guest.jobs import codes, prepare, wait_job
from guest.memory import MIB
from guest.packages import download
from guest.systemd_guest import SystemdGuest, SystemdImage
from guest.waiting import wait_until

PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblua5.1-0", "liblzf1", "libatomic1", "lua-cjson",
            "lua-bitop", "libstdc++6", "lsb-base", "adduser", "passwd")
DIMM_MIB = 256
# A whole transfer of SETs, as a process for each would take minutes.
FILL = r"""awk 'BEGIN { value = "x"; while (length(value) < 65536) value = value value; for (i = 0; i < %d; i++) {
    key = "key" i; printf "*3\r\n$3\r\nSET\r\n$%%d\r\n%%s\r\n$65536\r\n%%s\r\n", length(key), key, value } }' |
redis-cli --pipe"""
SCRIPT = (ROOT / "docs/examples/unplug.d/valkey").read_text()


@pytest.fixture(scope="module")
def disk():
    """A disk that is a tar of the packages."""
    with tempfile.TemporaryDirectory(prefix="memplug-database.") as folder:
        debs = Path(folder) / "debs"
        debs.mkdir()
        download(PACKAGES, debs)
        tar = Path(folder) / "debs.tar"
        subprocess.run(["tar", "-C", folder, "-cf", str(tar), "debs"], check=True)
        shutil.rmtree(debs)
        yield tar


@pytest.fixture(scope="module")
def guest(disk):
    image = SystemdImage()
    image.make_installed()
    drive = ["-drive", "file=%s,if=virtio,format=raw,readonly=on" % disk]
    with SystemdGuest(image, installed=True, devices=drive, memory="768M") as guest:
        guest.plug_dimm("dimm", DIMM_MIB * MIB)
        guest.wait_states("dimm", "online", "Movable")
        guest.shells.output("tar -C /run -xf /dev/vdc; DEBIAN_FRONTEND=noninteractive dpkg -i /run/debs/*.deb 2>&1; "
                            "rm -r /run/debs; systemctl start redis-server", 600)
        yield guest


def redis(guest, *words):
    return guest.shells.output("redis-cli --raw " + " ".join(words), 300).strip()


def used_mib(guest):
    info = dict(line.split(":", 1) for line in redis(guest, "info", "memory").splitlines() if ":" in line)
    return int(info["used_memory"]) // MIB


def test_a_cache_shrinks_for_a_prepare(guest):
    agent = guest.channel()
    device = {"slot": guest.dimm("dimm")["slot"]}
    guest.shells.output("sync; echo 3 >/proc/sys/vm/drop_caches")
    check = agent.call("memory-check-unplug", devices=[device])
    # So full that the DIMM's bytes and the reserve are lacking by half a DIMM.
    limit = (guest.meminfo()["MemAvailable"] - check["reserve-bytes"]) // MIB - DIMM_MIB // 2
    redis(guest, "config set maxmemory %dmb" % limit)
    redis(guest, "config set maxmemory-policy allkeys-lru")
    redis(guest, "config set save \"''\"")
    guest.shells.output(FILL % ((limit - 16) * 16), 900)
    full = used_mib(guest)
    assert full > limit * 9 // 10, (full, limit)
    record = wait_job(agent, prepare(agent, device), "failed")
    assert codes(record) == {"low-memory"}, record
    guest.wait_states("dimm", "online", "Movable")

    watch = guest.shell_start("redis-cli --latency-history -i 1 >/run/latency 2>&1")
    wait_until(lambda: guest.shells.output("wc -l </run/latency").strip() != "0", "the first sample")
    guest.shells.output("mkdir -p /etc/memplug/unplug.d; cat >/etc/memplug/unplug.d/cache <<'END'\n%sEND\n"
                        "sed -i 's/CLI:-valkey-cli/CLI:-redis-cli/' /etc/memplug/unplug.d/cache; "
                        "chmod 755 /etc/memplug/unplug.d/cache; systemctl start memplug-hooks" % SCRIPT)
    wait_until(lambda: agent.call("memory-get-status")["inhibitors"], "the service's lock")
    record = wait_job(agent, prepare(agent, device, timeout_ms=300000), "ready", timeout=400)
    shrunk = used_mib(guest)
    assert shrunk <= full - DIMM_MIB + 8, (full, shrunk)
    guest.wait_deleted("dimm", guest.device_del("dimm"))
    assert guest.oom_kills() == 0
    assert redis(guest, "ping") == "PONG"

    guest.plug_dimm("dimm", DIMM_MIB * MIB)
    guest.wait_states("dimm", "online", "Movable")
    wait_until(lambda: redis(guest, "config get maxmemory").split()[-1] == str(limit * MIB), "the cache to grow again")
    watch.kill()
    # Least, most, mean and how many, in ms.
    samples = [line.split() for line in guest.shells.output("cat /run/latency").splitlines() if line[:1].isdigit()]
    assert len(samples) > 3
    figures.record("cache", limit_mib=limit, before_mib=full, after_mib=shrunk, samples=len(samples),
                   longest_ms=max(int(sample[1]) for sample in samples))

"""memplugctl on the host: one command that resizes a running guest, and what both sides say after."""
import json
import random
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from guest import GIB, MIB, wait_until

ROOT = Path(__file__).resolve().parents[2]
# The harness holds the guest's first monitor, and QEMU takes one client at a time.
FOLDER = Path(tempfile.mkdtemp(prefix="memplug-host."))
GUEST = {"memory": "1G", "maxmem": "8G", "slots": 8,
         # As virtiofs and vhost-user want RAM.
         "devices": ["-object", "memory-backend-memfd,id=ram,size=1G,share=on",
                     "-machine", "memory-backend=ram",
                     "-chardev", "socket,id=second,path=%s/qmp.sock,server=on,wait=off" % FOLDER,
                     "-mon", "chardev=second,mode=control",
                     "-object", "memory-backend-ram,id=vmem-ram,size=3G",
                     "-device", "virtio-mem-pci,id=vmem,memdev=vmem-ram,requested-size=0"]}
DONE, REFUSED, NO_CONNECTION = 0, 1, 3


@pytest.fixture(scope="module", autouse=True)
def folder():
    yield
    shutil.rmtree(FOLDER)


def words_of(guest, words):
    return [str(ROOT / "build" / "memplugctl"), "--host", "unix:%s" % guest.path("agent"), "--qmp",
            "unix:%s/qmp.sock" % FOLDER, "--json", *words]


def run(guest, *words):
    """Returns (exit status, all output)."""
    if guest._channel:
        guest._channel.close()  # the port takes one client at a time
    done = subprocess.run(words_of(guest, words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=600, check=False, text=True)
    print(words, done.returncode, done.stdout)
    return done.returncode, done.stdout


def host(guest, *words):
    """Returns (exit status, report)."""
    status, said = run(guest, *words)
    return status, json.loads(said)


def figures(report):
    """(asked, reached by QEMU, reached by the guest) in MiB."""
    return tuple(report[name] // MIB for name in ("wanted", "by-hypervisor", "by-guest"))


def nothing_left(guest):
    """No backend without a device, and no block offline."""
    behind = {device["data"]["memdev"].rpartition("/")[2]
              for device in guest.qmp.command("query-memory-devices")}
    backends = {backend["id"] for backend in guest.qmp.command("query-memdev")}
    assert {name for name in backends if name.startswith("memplug-mem")} <= behind
    assert all(block.state == "online" for block in guest.blocks().values())


def test_the_documented_example_of_dimms(guest):
    """oVirt's: 1 GiB and 256, 256, 128, 128 MiB; 1400 asked for: 256 and 128 go, 1408 stay."""
    for size in ("256M", "256M", "128M", "128M"):
        status, report = host(guest, "plug", size)
        assert status == DONE and report["steps"][0]["result"] == "done"
    assert figures(report) == (1792, 1792, 1792)
    shared = {backend["share"] for backend in guest.qmp.command("query-memdev")
              if backend["id"].startswith("memplug-mem")}
    kinds = {each["type"] for each in guest.qmp.command("qom-list", path="/objects")
             if each["name"].startswith("memplug-mem")}
    assert shared == {True} and kinds == {"child<memory-backend-memfd>"}
    status, report = host(guest, "resize", "1400M")
    assert status == DONE and figures(report) == (1400, 1408, 1408)
    assert sorted(step["bytes"] // MIB for step in report["steps"]) == [128, 256]
    nothing_left(guest)


def test_a_busy_one_is_avoided(guest):
    """A page of one DIMM is held: the others go, and the report says why that one does not."""
    status, report = host(guest, "resize", "1G")
    assert status == DONE and figures(report) == (1024, 1024, 1024)
    assert host(guest, "plug", "256M", "--id=held")[0] == DONE
    pin = guest.pin(guest.dimm_blocks("held"))
    assert host(guest, "plug", "256M", "--id=free")[0] == DONE
    status, report = host(guest, "--timeout-ms=8000", "resize", "1G")
    assert status == REFUSED and guest.dimm("free") is None and guest.dimm("held")
    assert report["shortfall"] == 256 * MIB and "held" in json.dumps(report)
    guest.unpin(pin)
    nothing_left(guest)
    status, report = host(guest, "resize", "1G")
    assert status == DONE and figures(report) == (1024, 1024, 1024)


def test_the_documented_example_of_virtio_mem(guest):
    """KubeVirt's: 1 GiB to 2 GiB and back, as the guest measures it."""
    status, report = host(guest, "resize", "2G")
    assert status == DONE and figures(report) == (2048, 2048, 2048)
    with guest.channel() as channel:
        said = channel.call("memory-get-status")
    assert said["guest-current"] == said["guest-requested"] == 2 * GIB
    status, report = host(guest, "resize", "1G")
    assert status == DONE and figures(report) == (1024, 1024, 1024)
    nothing_left(guest)


def test_up_and_down(guest, rounds):
    """Between 1 and 6 GiB, by virtio-mem and DIMMs together: each time what it says is so."""
    generator = random.Random(7)
    for _ in range(rounds):
        wanted = generator.randrange(1024, 6 * 1024 + 1, 2)
        status, report = host(guest, "resize", "%dM" % wanted)
        assert status == DONE and 0 <= report["by-hypervisor"] - wanted * MIB < guest.block_size()
        nothing_left(guest)
    assert figures(host(guest, "resize", "1G")[1]) == (1024, 1024, 1024)


def test_one_that_the_guest_never_took(guest):
    """QEMU counts it, the guest's kernel does not: it is taken back, and memory that the
    guest can use comes in its place."""
    guest.qmp.command("object-add", **{"qom-type": "memory-backend-ram", "id": "odd-ram",
                                       "size": 64 * MIB})
    guest.qmp.command("device_add", driver="pc-dimm", id="odd", memdev="odd-ram")
    # The next one begins where a block does.
    assert host(guest, "plug", "128M", "--id=next")[0] == DONE
    assert guest.dimm("next")["addr"] % guest.block_size() == 0
    status, report = host(guest, "resize", "1280M")
    assert status == DONE and figures(report) == (1280, 1280, 1280)
    assert report["steps"][0]["device"] == "odd" and guest.dimm("odd") is None
    assert host(guest, "resize", "1G")[0] == DONE


@pytest.mark.parametrize("how", ["INT", "KILL"])
def test_memplugctl_is_ended_in_the_middle(guest, how):
    """What it began is given back, or its lease ends; what is left behind the next run removes."""
    assert host(guest, "plug", "256M", "--id=middle")[0] == DONE
    pin = guest.pin(guest.dimm_blocks("middle"))
    running = subprocess.Popen(words_of(guest, ["unplug", "middle"]), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    wait_until(lambda: any(block.state != "online"
                           for block in guest.dimm_blocks("middle").values()), "the offlining")
    running.send_signal(getattr(signal, "SIG" + how))
    said, _ = running.communicate(timeout=120)
    assert how == "KILL" or (running.returncode == REFUSED and "the job was cancelled" in said), said
    guest.unpin(pin)
    wait_until(lambda: all(block.state == "online" for block in guest.blocks().values())
               or not guest.dimm_blocks("middle"), "the lease to end", timeout=200)
    status, _ = host(guest, "unplug", "middle")
    assert status == DONE and guest.dimm("middle") is None
    nothing_left(guest)


def test_the_example_in_the_documentation(guest):
    """90 lines of Python do what unplug does, and give back what does not go."""
    example = ROOT / "docs" / "examples" / "unplug.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 90
    command = ["/usr/bin/python3", str(example), str(guest.path("agent")), "%s/qmp.sock" % FOLDER]
    assert host(guest, "plug", "256M", "--id=example")[0] == DONE
    assert subprocess.run(command + ["example"], timeout=200, check=False).returncode == DONE
    assert guest.dimm("example") is None
    nothing_left(guest)


def test_a_paused_guest(guest):
    """It cannot answer, and that is what is said; nothing has happened when it goes on."""
    assert host(guest, "plug", "256M", "--id=paused")[0] == DONE
    guest.qmp.command("stop")
    status, said = run(guest, "unplug", "paused")
    guest.qmp.command("cont")
    assert status == NO_CONNECTION and "paused" in said and guest.dimm("paused")
    assert host(guest, "unplug", "paused")[0] == DONE
    nothing_left(guest)


def test_a_reset_in_the_middle(guest):
    """The job ended with the boot that it belonged to, and that is what is said."""
    assert host(guest, "plug", "256M", "--id=reset")[0] == DONE
    guest.pin(guest.dimm_blocks("reset"))
    running = subprocess.Popen(words_of(guest, ["unplug", "reset"]), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    wait_until(lambda: any(block.state != "online"
                           for block in guest.dimm_blocks("reset").values()), "the offlining")
    guest.qmp.command("set-action", reboot="reset")  # the harness has it end QEMU
    guest.qmp.command("system_reset")
    said, _ = running.communicate(timeout=200)
    assert running.returncode in (REFUSED, NO_CONNECTION) and guest.dimm("reset"), said
    assert "booted again" in said or "reset" in said, said
    wait_until(lambda: run(guest, "status")[0] == DONE, "the daemon to be up again")
    assert host(guest, "unplug", "reset")[0] == DONE


def test_qemu_is_killed(guest):
    """The last test: the sentence is true, and it ends."""
    assert host(guest, "plug", "256M", "--id=last")[0] == DONE
    since = guest.qmp.mark()
    running = subprocess.Popen(words_of(guest, ["resize", "2G"]), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    guest.qmp.wait_event("MEMORY_DEVICE_SIZE_CHANGE", since=since)
    guest.process.kill()
    _, error = running.communicate(timeout=120)
    assert running.returncode == DONE or (running.returncode == NO_CONNECTION and error)

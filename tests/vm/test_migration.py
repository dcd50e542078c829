"""A live migration: the guest goes on in another QEMU, with its jobs, its figures and its channel."""
import json
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from guest import GIB, MIB, Guest, wait_until
from guest.jobs import prepare, query, wait_job

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(tempfile.mkdtemp(prefix="memplug-migration."))
SIZE = 512 * MIB
MACHINE = {"memory": "1G", "maxmem": "8G", "slots": 4}
VIRTIO_MEM = ["-object", "memory-backend-ram,id=vmem-ram,size=1G"]


@pytest.fixture(scope="module", autouse=True)
def folder():
    yield
    shutil.rmtree(FOLDER)


def devices(name, *more, requested=0):
    """QEMU's arguments: a second monitor, a virtio-mem device, and what MORE says."""
    return ["-chardev", "socket,id=second,path=%s/%s.sock,server=on,wait=off" % (FOLDER, name),
            "-mon", "chardev=second,mode=control", *VIRTIO_MEM,
            "-device", "virtio-mem-pci,id=vmem,memdev=vmem-ram,memaddr=0x140000000,"
            "requested-size=%d" % requested, *more]


@contextmanager
def waiting_qemu(image, *more, requested=0):
    """A QEMU that waits for a guest; for a `with` statement."""
    guest = Guest(image=image, devices=devices("to", *more, "-incoming", "defer",
                                               requested=requested), **MACHINE)
    guest.start()
    try:
        guest.qmp.command("migrate-incoming", uri="unix:%s/stream" % FOLDER)
        yield guest
    except Exception:
        print(guest.describe())
        raise
    finally:
        guest.stop()


def migrate(source, destination):
    """Moves the guest, and waits until it runs on the other side."""
    source.qmp.command("migrate", uri="unix:%s/stream" % FOLDER)

    def is_over():
        status = source.qmp.command("query-migrate").get("status")
        assert status not in ("failed", "cancelled"), source.qmp.command("query-migrate")
        return status == "completed"

    wait_until(is_over, "the migration", timeout=300)
    wait_until(lambda: destination.qmp.command("query-status")["status"] == "running",
               "the guest to run on the other side")
    destination.shells.output("true", 300)


def host(guest, name, *words):
    """memplugctl on the host. Returns (exit status, report or None)."""
    if guest._channel:
        guest._channel.close()
    done = subprocess.run([str(ROOT / "build" / "memplugctl"), "--host",
                           "unix:%s" % guest.path("agent"), "--qmp",
                           "unix:%s/%s.sock" % (FOLDER, name), "--json", *words],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
                          check=False, text=True)
    print(words, done.returncode, done.stdout)
    return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else None


def dimm_arguments(device):
    """The DIMM as the other QEMU must have it from its start."""
    return ["-object", "memory-backend-ram,id=dimm-ram,size=%d" % device["size"], "-device",
            "pc-dimm,id=dimm,memdev=dimm-ram,addr=%d,slot=%d" % (device["addr"], device["slot"])]


def test_a_ready_job_goes_along(boot, memplugd_image):
    """Prepared here, unplugged there; and no job begins anew on the way."""
    source = boot(devices=devices("from"), **MACHINE)
    device = source.plug_dimm("dimm", SIZE)
    source.wait_states("dimm", "online", "Movable")
    with source.channel() as channel:
        before = channel.call("memory-get-status")
        job = prepare(channel, {"slot": device["slot"]}, lease_ms=3600000)
        wait_job(channel, job, "ready")
    with waiting_qemu(memplugd_image, *dimm_arguments(device)) as destination:
        migrate(source, destination)
        with destination.channel() as channel:
            after = channel.call("memory-get-status")
            assert query(channel, job)["state"] == "ready"
            assert after["boot-id"] == before["boot-id"]
            assert after["agent-start-usec"] == before["agent-start-usec"]
            assert {block.state for block in destination.dimm_blocks("dimm").values()} == {"offline"}
            destination.wait_deleted("dimm", destination.device_del("dimm"))
            wait_job(channel, job, "unplugged")
        status, report = host(destination, "to", "plug", "256M")
        assert status == 0 and report["by-guest"] == GIB + 256 * MIB


def test_the_figures_of_virtio_mem_go_along(boot, memplugd_image):
    """1 GiB at boot and 2 GiB by virtio-mem: the three figures are the same on both sides, and the
    other side makes the guest smaller again."""
    source = boot(devices=devices("from"), **MACHINE)
    assert host(source, "from", "resize", "2G")[0] == 0
    with source.channel() as channel:
        before = channel.call("memory-get-status")
    with waiting_qemu(memplugd_image, requested=GIB) as destination:
        migrate(source, destination)
        with destination.channel() as channel:
            after = channel.call("memory-get-status")
        names = ("guest-at-boot", "guest-current", "guest-requested")
        assert [after[name] for name in names] == [before[name] for name in names]
        assert after["guest-current"] == after["guest-requested"] == 2 * GIB
        status, report = host(destination, "to", "resize", "1G")
        assert status == 0 and report["by-hypervisor"] == report["by-guest"] == GIB


def test_in_the_middle_of_an_unplug(boot, memplugd_image):
    """memplugctl on the old side ends in a true sentence; the guest on the new one is whole."""
    source = boot(devices=devices("from"), **MACHINE)
    device = source.plug_dimm("dimm", SIZE)
    blocks = source.wait_states("dimm", "online", "Movable")
    pin = source.pin(blocks)
    running = subprocess.Popen([str(ROOT / "build" / "memplugctl"), "--host",
                                "unix:%s" % source.path("agent"), "--qmp",
                                "unix:%s/from.sock" % FOLDER, "--timeout-ms=60000", "unplug",
                                "dimm"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)
    wait_until(lambda: any(block.state != "online" for block in source.dimm_blocks("dimm").values()),
               "the offlining")
    with waiting_qemu(memplugd_image, *dimm_arguments(device)) as destination:
        migrate(source, destination)
        said, _ = running.communicate(timeout=600)
        print(said)
        assert running.returncode in (1, 3) and "postmigrate" in said, (running.returncode, said)
        destination.shells.output("kill $(pidof pin)")
        wait_until(lambda: {(block.state, block.zone)
                            for block in destination.dimm_blocks("dimm").values()}
                   == {("online", "Movable")}, "the blocks to come back", timeout=600)
        done = host(destination, "to", "--timeout-ms=300000", "unplug", "dimm")
        assert done[0] == 0, done
        assert destination.dimm("dimm") is None
    assert pin

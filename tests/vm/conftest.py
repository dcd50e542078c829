"""pytest fixtures of the VM tests: the image, and guests shared by the tests of one file.

A file says what its guest is made of with `GUEST = {…}`, the arguments of Guest.
"""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from guest import Guest
from guest.image import Image
from guest.jobs import ENDED, prepare, wait_job


@pytest.fixture(scope="session")
def image():
    """The guest image without memplugd."""
    made = Image()
    made.make_base()
    return made


@pytest.fixture(scope="session")
def memplugd_image(image):
    """The guest image with memplugd installed into it."""
    image.make_memplugd()
    return image


@pytest.fixture(scope="session")
def rounds():
    """How often the tests that go round do so: few in check, many in soak."""
    return 50 if os.environ.get("SOAK") == "1" else 5


class Shared:
    """The guest that the tests of a file share; a test that failed leaves it to the next boot."""

    def __init__(self, **arguments):
        self.spoiled = False
        self._arguments = arguments
        self._guest = None

    def get(self):
        if self._guest and self.spoiled:
            self.stop()
        if not self._guest:
            self._guest = Guest(**self._arguments).__enter__()
            self.spoiled = False
        return self._guest

    def stop(self):
        if self._guest:
            self._guest.stop()
            self._guest = None


@pytest.fixture(scope="module")
def shared(request, memplugd_image):
    holder = Shared(image=memplugd_image, **getattr(request.module, "GUEST", {}))
    yield holder
    holder.stop()


@pytest.fixture
def guest(request, shared):
    """A booted guest with memplugd."""
    yield shared.get()
    if getattr(request.node, "failed", False):
        shared.spoiled = True


@pytest.fixture
def boot(memplugd_image):
    """Boots guests of a test's own making, which end with it."""
    def start(**arguments):
        guest = Guest(image=memplugd_image, **arguments)
        start.guests.append(guest)
        return guest.__enter__()

    start.guests = []
    yield start
    for guest in start.guests:
        guest.stop()


@pytest.fixture
def agent(guest):
    """A connection to memplugd."""
    with guest.channel() as channel:
        yield channel


@pytest.fixture
def dimm(guest, agent):
    """QEMU's id of a 1 GiB DIMM that memplugd has brought online as movable."""
    guest.plug_dimm("dimm")
    guest.wait_states("dimm", "online", "Movable")
    yield "dimm"
    agent.close()  # the port takes one connection at a time
    if guest.dimm("dimm"):
        take_away(guest, "dimm")


def take_away(guest, dimm):
    """Unplugs a DIMM the proper way, whatever jobs a test has left."""
    with guest.channel() as channel:
        for record in channel.call("memory-query-unplug"):
            if record["state"] not in ENDED:
                channel.call("memory-cancel-unplug", job=record["job"])
                wait_job(channel, record["job"], *ENDED)
        job = prepare(channel, {"slot": guest.dimm(dimm)["slot"]})
        wait_job(channel, job, "ready")
        guest.wait_deleted(dimm, guest.device_del(dimm))
        wait_job(channel, job, "unplugged")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test says what its guests saw."""
    report = (yield).get_result()
    if not report.failed:
        return
    item.failed = True
    for name, value in getattr(item, "funcargs", {}).items():
        guests = [value] if isinstance(value, Guest) else getattr(value, "guests", [])
        report.sections += [(name, guest.describe()) for guest in guests]

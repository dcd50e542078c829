"""The Debian packages as they are built: what is in them, what they need, how large they are."""
import re
import subprocess

import pytest

import figures
from guest.image import ROOT
from guest.systemd_guest import SystemdImage

BUDGET_KIB = 412  # the aim is 400
LIBRARIES = {"libc6", "libglib2.0-0", "libjson-glib-1.0-0", "libsystemd0", "libudev1"}
DOCUMENTATION = ("./usr/share/doc/", "./usr/share/man/")


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


@pytest.fixture(scope="module")
def guests():
    """The guest's package."""
    image = SystemdImage()
    image.make_package()
    return image.deb()


@pytest.fixture(scope="module")
def hosts(guests):
    found, = guests.parent.glob("memplug-host_*.deb")
    return found


def contents(deb):
    """{path: bytes} of its files."""
    files = {}
    for line in run("dpkg-deb", "-c", str(deb)).splitlines():
        mode, _, size, _, _, path = line.split(None, 5)
        if mode.startswith("-"):
            files[path] = int(size)
    return files


def needs(deb):
    """Names of the packages that it depends on, t64's like their elders."""
    depends = run("dpkg-deb", "-f", str(deb), "Depends")
    return {re.sub(r"(?<=\d)t64$", "", re.split(r"[ :(]", word.strip())[0])
            for word in depends.split(",")}


def test_the_guests_package_is_small(guests):
    size_kib = sum(-(-size // 1024) for path, size in contents(guests).items()
                   if not path.startswith(DOCUMENTATION))
    figures.record("package", installed_kib=size_kib)
    assert size_kib < BUDGET_KIB


def test_what_a_guest_has_to_have(guests):
    assert needs(guests) == LIBRARIES


def test_a_host_gets_the_command_and_nothing_that_runs(guests, hosts):
    assert needs(hosts) == LIBRARIES - {"libudev1"} | {"libvirt0"}
    outside = {path for path in contents(hosts) if not path.startswith(DOCUMENTATION)}
    assert outside == {"./usr/bin/memplugctl", "./usr/share/bash-completion/completions/memplugctl"}
    assert contents(hosts)["./usr/bin/memplugctl"] > contents(guests)["./usr/bin/memplugctl"]


ROOT_OF_OURS = """
mkdir -p {root}/var/lib/dpkg/info {root}/var/lib/dpkg/updates {root}/usr/bin
touch {root}/var/lib/dpkg/status
"""


def test_both_fit_on_one_machine(guests, hosts, tmp_path):
    """The host's memplugctl stands in for the guest's, which is back when the other goes."""
    root = tmp_path / "root"
    run("sh", "-euc", ROOT_OF_OURS.format(root=root))
    # Of their scripts only what diverts runs: the host's.
    dpkg = ["dpkg", "--root=%s" % root, "--force-script-chrootless,depends,not-root",
            "--log=%s" % (tmp_path / "log")]
    command = root / "usr/bin/memplugctl"
    texts = {}
    for deb in (guests, hosts):
        run(*dpkg, "--unpack", str(deb))
        texts[deb] = command.read_bytes()
    assert texts[guests] != texts[hosts]
    run(*dpkg, "-r", "memplug-host")
    assert command.read_bytes() == texts[guests]


def test_the_same_tree_makes_the_same_packages(guests, hosts, tmp_path):
    """In another directory, at another time, out of what `make dist` hands on."""
    tarball = run(str(ROOT / "packaging/make-dist"), str(tmp_path), "--uncommitted").strip()
    run("tar", "-C", str(tmp_path), "-xf", tarball)
    unpacked = tarball[:-len(".tar.gz")]
    again = run(unpacked + "/packaging/make-dist", str(tmp_path / "again")).strip()
    assert open(again, "rb").read() == open(tarball, "rb").read()
    run("make", "-s", "-C", unpacked, "deb", env=SystemdImage.clean_environment())
    for deb in (guests, hosts):
        other, = (tmp_path / unpacked).glob("build/deb/" + deb.name)
        assert other.read_bytes() == deb.read_bytes()

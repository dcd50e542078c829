"""Fetches Debian packages and unpacks them without installing anything.

The test guest runs a kernel and an udevd that the machine building it need not
have. apt verifies what it downloads; nothing of a package is executed here.
"""
import re
import shutil
import subprocess


# Suites that were published long ago, too.
ANY_AGE = "--aptopt=Acquire::Check-Valid-Until \"false\""


class PackageError(RuntimeError):
    """A package could not be found or fetched; the message says what to try."""


def _run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise PackageError("%s: %s\n(does `apt-get update` help?)"
                           % (" ".join(command), done.stderr.strip()))
    return done.stdout


def dependencies(package, pattern):
    """Names of the packages that `package` depends on directly and that match `pattern`."""
    found = re.findall(r"^\s+(?:Pre)?Depends: (\S+)$", _run("apt-cache", "depends", package), re.M)
    names = [name for name in found if re.fullmatch(pattern, name)]
    if not names:
        raise PackageError("apt knows no package %s that depends on %s; does `apt-get update` help?"
                           % (package, pattern))
    return names


def download(names, into):
    """Downloads the packages `names` into the directory `into`."""
    # Without the option root's apt warns that its own user cannot write here.
    _run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *names, cwd=into)


def unpack(names, downloads, into):
    """Downloads the packages `names` and unpacks them all into the directory `into`."""
    for folder in (downloads, into):
        folder.mkdir(parents=True, exist_ok=True)
    download(names, downloads)
    for archive in sorted(downloads.glob("*.deb")):
        _run("dpkg-deb", "-x", str(archive), str(into))


def unpack_suite(name, suite, into):
    """Unpacks a package of `suite`, with all that it needs, into the new directory `into`; nothing of
    it is installed."""
    if into.is_dir():
        return
    partial = into.with_name(into.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    _run("mmdebstrap", "--variant=extract", "--format=directory", ANY_AGE, "--include=" + name, suite,
         str(partial))
    partial.rename(into)

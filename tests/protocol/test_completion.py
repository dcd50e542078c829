"""The completion, as bash calls it: with words that it has split at ":" and "="."""
import re
import shutil
import subprocess

import pytest

from daemon import ROOT

HARNESS = """
compopt() { :; }
exec 3>&2  # the completion throws memplugctl's own away
memplugctl() { echo "$*" >&3; echo '[{"id": "slot0"}, {"id": "slot12"}]'; }
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_memplugctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(line):
    """Returns (offers, how memplugctl was asked)."""
    words = re.findall(r"[:=]|[^\s:=]+", line) + ([""] if line.endswith(" ") else [])
    done = subprocess.run(["bash", "-c", HARNESS, "-", str(ROOT / "packaging/completion/memplugctl"),
                           *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=True)
    return done.stdout.split(), done.stderr.strip()


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("line, offers, asked", [
    ("memplugctl pre", ["prepare"], ""),
    ("memplugctl un", [], ""),
    ("memplugctl --host unix:/a --qmp unix:/q un", ["unplug"], ""),
    ("memplugctl prepare ", ["slot0", "slot12"], "devices --json"),
    ("memplugctl --timeout-ms 5000 prepare slot1", ["slot12"], "devices --json"),
    ("memplugctl --key=k check slot0", ["slot0"], "devices --json"),
    ("memplugctl --host unix:/a prepare slot0", ["slot0"], "--host unix:/a devices --json"),
    ("memplugctl --host=unix:/a prepare slot0", ["slot0"], "--host unix:/a devices --json"),
    ("memplugctl --rezone=y", ["yes"], ""),
    ("memplugctl --rezone ", ["yes", "no"], ""),
    ("memplugctl --host=u", ["unix:"], ""),
    ("memplugctl policy m", ["movable"], ""),
    ("memplugctl share-port d", ["disable"], ""),
])
def test_completion(line, offers, asked):
    assert complete(line) == (offers, asked)

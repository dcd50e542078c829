"""The man pages, help texts, example configuration and completion against the sources: every option,
setting, verb and name of one is in the others."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from daemons import BUILD, ROOT

RANGES = {"timeout-ms": "UNPLUG_TIMEOUT_MAX_MS", "lease-ms": "UNPLUG_LEASE_MAX_MS",
          "movable-ratio": "ONLINE_RATIO_MAX"}


def source(path):
    """A file of the tree."""
    return (ROOT / path).read_text(encoding="utf-8")


def man(name):
    """A man page as text on one line; what mandoc makes bold or underlined is plain."""
    text = subprocess.run(["mandoc", "-Tutf8", str(ROOT / "docs/man" / name)], check=True,
                          stdout=subprocess.PIPE).stdout.decode()
    return " ".join(re.sub(".\b", "", text).split())


def options(path):
    """The long options that a GOptionEntry table shows."""
    found = re.findall(r'^ +\{"([a-z-]+)", (?:\'.\'|0), (\w+),', source(path), re.M)
    assert found
    return [name for name, flags in found if flags == "0"]


def settings():
    """(group, key) of each setting."""
    found = re.findall(r'^ +\{"(\w+)", "([a-z-]+)", (?:LIVE|AT_START)', source("agent/os/settings.c"), re.M)
    assert found
    return found


@pytest.mark.parametrize("path, page", [("agent/os/options.c", "memplugd.8"),
                                        ("ctl/command-line.c", "memplugctl.1")])
def test_options_are_in_the_page(path, page):
    """Each long option, and none that is no more."""
    shown = set(re.findall(r"--([a-z][a-z-]+)", man(page)))
    assert shown == set(options(path) + ["help"])


def test_settings_are_in_the_page_and_the_example():
    """In their groups, and with their limits."""
    example = re.findall(r"^\[(\w+)\]|^#([a-z-]+)=", source("systemd/memplugd.conf"), re.M)
    shown, group = [], None
    for heading, key in example:
        group = heading or group
        if key:
            shown.append((group, key))
    assert shown == settings()
    text = source("docs/man/memplugd.conf.5")
    groups = re.findall(r"^\.Ss Group (\w+)\n(.*?)(?=^\.S[sh] )", text, re.M | re.S)
    assert [(name, key) for name, part in groups
            for key in re.findall(r"^\.It Li ([a-z-]+)=", part, re.M)] == settings()
    headers = source("agent/decide/unplug.h") + source("agent/decide/online-policy.h")
    for key, name in RANGES.items():
        limit = re.search(r"^#define %s (\d+)" % name, headers, re.M)[1]
        entry = re.search(r"^\.It Li %s=\n(.*?)(?=^\.(?:It|El))" % key, text, re.M | re.S)[1]
        assert "1 to " + limit in " ".join(entry.split()), key


def test_verbs_are_in_the_page_the_help_and_the_completion():
    """What memplugctl's table has."""
    verbs = set(re.findall(r'^ +\{"([a-z-]+)", verb_', source("ctl/main.c"), re.M))
    assert set(re.findall(r"^\.It Cm ([a-z-]+)", source("docs/man/memplugctl.1"), re.M)) == verbs
    shown = subprocess.run([str(BUILD / "memplugctl"), "--help"], check=True,
                           stdout=subprocess.PIPE).stdout.decode(errors="replace")
    assert set(re.findall(r"^  ([a-z][a-z-]*) ", shown, re.M)) - {"memplugctl"} == verbs
    completion = source("packaging/completion/memplugctl")
    words = " ".join(re.findall(r'verbs="([^"]*)"', completion))
    assert set(re.findall(r"(?<!\$)\b[a-z-]+", words)) == verbs
    offered = re.search(r'local options="([^"]*)"', completion)[1].split()
    assert sorted(offered) == sorted("--" + name for name in options("ctl/command-line.c") + ["help"])


def test_names_on_the_bus_and_in_the_journal():
    """Properties, methods, signals; message ids and the files of the state directory."""
    text = man("org.memplug.Agent1.5")
    schema = source("qga-protocol/memplug-schema.json")
    channel_only = re.search(r"channel_only\[\] = \{(.*?)NULL", source("agent/front/bus-service.c"),
                             re.S)[1]
    commands = set(re.findall(r'"command": "([a-z-]+)"', schema)) - set(
        re.findall(r'"([a-z-]+)"', channel_only))
    events = re.findall(r'"event": "([A-Z_]+)"', schema)
    words = [re.sub("^memory-", "", name).split("-") for name in commands]
    words += [re.sub("^MEMORY_", "", name).split("_") for name in events]
    names = {"".join(word.capitalize() for word in parts) for parts in words}
    names |= set(re.findall(r'^    \{"([A-Z]\w+)", [A-Z"]', source("agent/front/bus-properties.c"), re.M))
    assert not {name for name in names | {"Version"} if not re.search(r"\b%s\b" % name, text)}
    text = man("memplugd.8")
    ids = re.findall(r'"([0-9a-f]{32})"', source("agent/os/log.c"))
    assert re.findall(r"\b[0-9a-f]{32}\b", text) == ids and ids
    for path, name in [("agent/os/journal.h", "JOURNAL_FILE"),
                       ("agent/engine/mark-keeper.c", "MARKS_FILE"),
                       ("agent/engine/kernel-setter.c", "ORIGINALS_FILE")]:
        assert re.search(r'#define %s "(.*)"' % name, source(path))[1] in text


def test_doctor_subjects_are_in_the_operators_page():
    """Each line that doctor may print is named in docs/operating.md."""
    subjects = set()
    for path in (ROOT / "ctl").glob("doctor-*.c"):
        text = path.read_text(encoding="utf-8")
        subjects |= set(re.findall(r'"([a-zA-Z_ ]+)", (?:NULL|g_strdup)', text))
        subjects |= set(re.findall(r'FINDING_\w+, "([a-zA-Z_ ]+)"', text))
        subjects |= set(re.findall(r'\{"[a-z-]+", "([a-zA-Z_ ]+)"\}', text))
    page = source("docs/operating.md")
    assert len(subjects) > 12
    assert not {subject for subject in subjects if "`%s`" % subject not in page}

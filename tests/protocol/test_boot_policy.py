"""memplugctl boot-policy, in trees laid out as distributions lay theirs out."""
import json
import os

import pytest

import ctl
from daemon import BUILD  # noqa: F401  the programs are there

WORD = "memhp_default_state=online_movable"
GRUB = {"etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
        "etc/default/grub.d/init-select.cfg": "# nothing\n", "usr/sbin/update-grub": ""}
ENTRY = "boot/loader/entries/6b1c-6.12.0-55.el10.x86_64.conf"
GRUBBY = {"usr/sbin/grubby": "", "etc/default/grub": 'GRUB_CMDLINE_LINUX="crashkernel=1G"\n',
          ENTRY: "title RHEL\nlinux /vmlinuz-6.12\noptions root=/dev/vda1 ro\n"}
BOOTED = {"usr/bin/kernel-install": "", "boot/vmlinuz-6.12.1": "",
          "efi/loader/entries/x-6.12.1.conf": "title Debian\noptions root=UUID=1 ro\n"}
CMDLINE = {**BOOTED, "etc/kernel/cmdline": "root=UUID=1 ro console=ttyS0\n"}
LAYOUTS = {"grub.d": GRUB, "grubby": GRUBBY, "kernel-install": CMDLINE, "no cmdline": BOOTED}
TOOLS = {"grub.d": "update-grub", "grubby": "grubby --update-kernel=ALL --args=" + WORD,
         "kernel-install": "kernel-install add 6.12.1 /boot/vmlinuz-6.12.1"}


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def root(tmp_path):
    write(tmp_path, {"proc/cmdline": "BOOT_IMAGE=/vmlinuz root=UUID=1 ro initrd=\\i quiet\n",
                     "proc/sys/kernel/osrelease": "6.12.1\n"})
    return tmp_path


def boot_policy(root, *words):
    status, said, wrong = ctl.run("boot-policy", *words, "--json", "--sysroot", str(root))
    return status, json.loads(said) if said else wrong


def tree(root):
    return {str(path.relative_to(root)): path.read_text()
            for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_there_and_back(root, layout):
    write(root, LAYOUTS[layout])
    before = tree(root)
    way = "kernel-install" if layout == "no cmdline" else layout
    status, said = boot_policy(root, "status")
    assert (status, said["policy"], said["way"]) == (0, "default", way)
    assert not said["reboot-needed"] and not said["by-memplug"] and "running" not in said
    assert tree(root) == before
    status, said = boot_policy(root, "movable")
    assert (status, said["policy"], said["by-memplug"], said["reboot-needed"]) == (
        0, "movable", True, True)
    assert said["done"][-1] == "to be run there: " + TOOLS[way]
    changed = tree(root)
    assert boot_policy(root, "movable")[1]["done"] == []  # twice is once
    assert tree(root) == changed
    # What others wrote is as it was, but for the one word in kernel-install's file.
    for name, text in before.items():
        assert changed[name] in (text, text.replace("ttyS0", "ttyS0 " + WORD)), name
    write(root, {"proc/cmdline": "quiet %s\n" % WORD})
    assert not boot_policy(root, "status")[1]["reboot-needed"]
    write(root, {"proc/cmdline": before["proc/cmdline"]})
    status, said = boot_policy(root, "default")
    assert (status, said["policy"], said["by-memplug"]) == (0, "default", False)
    assert tree(root) == before


def test_what_is_written(root):
    write(root, GRUB)
    boot_policy(root, "movable")
    text = (root / "etc/default/grub.d/memplug.cfg").read_text()
    assert text.splitlines()[-1] == 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX %s"' % WORD
    mode = (root / "etc/default/grub.d/memplug.cfg").stat().st_mode
    assert mode & 0o777 == 0o644


def test_a_new_cmdline_is_what_the_kernel_was_started_with(root):
    write(root, BOOTED)
    boot_policy(root, "movable")
    assert (root / "etc/kernel/cmdline").read_text() == "root=UUID=1 ro quiet %s\n" % WORD
    # What somebody added since stays.
    (root / "etc/kernel/cmdline").write_text("root=UUID=1 ro quiet %s nosmt\n" % WORD)
    boot_policy(root, "default")
    assert (root / "etc/kernel/cmdline").read_text() == "root=UUID=1 ro quiet nosmt\n"


@pytest.mark.parametrize("layout, file, text", [
    (GRUB, "etc/default/grub.d/movable.cfg", 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX %s"\n' % WORD),
    (GRUBBY, ENTRY, "options root=/dev/vda1 ro %s\n" % WORD),
    (CMDLINE, "etc/kernel/cmdline", "root=UUID=1 %s\n" % WORD)])
def test_what_others_set_stays(root, layout, file, text):
    write(root, {**layout, file: text})
    before = tree(root)
    status, said = boot_policy(root, "movable")
    assert (status, said["policy"], said["by-memplug"]) == (0, "movable", False)
    assert said["files"] == ["/" + file]
    status, said = boot_policy(root, "default")
    assert status == ctl.REFUSED and "/" + file in said and "by hand" in said
    assert tree(root) == before


def test_a_comment_sets_nothing(root):
    write(root, {**GRUB, "etc/default/grub.d/x.cfg": "# memhp_default_state=online_movable\n"})
    assert boot_policy(root)[1]["policy"] == "default"


def test_no_boot_loader(root):
    before = tree(root)
    status, said = boot_policy(root, "movable")
    assert status == ctl.REFUSED and WORD in said
    assert boot_policy(root, "default")[0] == ctl.DONE
    assert tree(root) == before


def test_it_cannot_be_written(root):
    write(root, GRUB)
    (root / "etc/default/grub.d/init-select.cfg").unlink()
    os.rmdir(root / "etc/default/grub.d")
    (root / "etc/default/grub.d").write_text("a file\n")
    status, said = boot_policy(root, "movable")
    assert status == ctl.REFUSED and "grub.d" in said


def test_for_a_person(root):
    write(root, GRUB)
    status, said, _ = ctl.run("boot-policy", "movable", "--sysroot", str(root))
    assert status == 0
    assert "wrote %s/etc/default/grub.d/memplug.cfg" % root in said
    assert "a reboot is needed" in said
    assert ctl.run("boot-policy", "sideways")[0] == ctl.USAGE

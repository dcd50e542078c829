"""The package in a Debian with systemd as PID 1: from its installation to its purge.

One guest, one story: the tests run in their order, and each leaves what the next begins with.
"""
import json
import subprocess

import pytest

import figures
from guest.channel import Channel
from guest.image import ROOT
from guest.jobs import codes, prepare, query, wait_job
from guest.systemd_guest import USER, SystemdGuest, SystemdImage
from guest.waiting import wait_until

CTL = str(ROOT / "build" / "memplugctl")
OBJECT = "org.memplug.Agent1 /org/memplug/Agent1 org.memplug.Agent1"
IDLE_S = 60
POLKIT_RULE = """polkit.addRule(function(action, subject) {
    if (action.id == "org.memplug.manage" && subject.user == "%s") return polkit.Result.YES;
});
""" % USER


@pytest.fixture(scope="module")
def systemd_guest():
    image = SystemdImage()
    image.make()
    with SystemdGuest(image) as guest:
        guest.before = settings_of_the_kernel(guest)
        guest.install()
        yield guest


@pytest.fixture
def guest(systemd_guest):
    return systemd_guest


def settings_of_the_kernel(guest):
    return guest.shells.output("cd /sys; grep -s . devices/system/memory/auto_online_blocks "
                               "module/memory_hotplug/parameters/* "
                               "firmware/acpi/hotplug/memory/enabled || true")


def as_user(guest, command):
    return guest.shell("setpriv --reuid=%s --regid=%s --clear-groups %s" % (USER, USER, command))


def host_ctl(guest, *words):
    """memplugctl on the host; returns (exit status, output). Lets go of the agent's port before."""
    if guest._channel:
        guest._channel.close()
    done = subprocess.run([CTL, "--host", "unix:%s" % guest.path("agent"), "--qmp",
                           "unix:%s" % guest.path("qmp2"), *words], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def main_pid(guest):
    return guest.shells.output("systemctl show -P MainPID memplugd").strip()


def number_in(guest, path, field):
    text = guest.shells.output("grep '^%s:' %s" % (field, path))
    return int(text.split()[1])


def test_the_service_is_up_with_a_status_line(guest):
    assert guest.shells.output("systemctl is-active memplugd").strip() == "active"
    assert "is online as movable" in guest.shells.output(
        "systemctl status --no-pager memplugd | grep Status:")
    assert guest.shells.output("systemctl is-enabled memplugd").strip() == "enabled"


def test_the_unit_is_hardened(guest):
    said = guest.shells.output("systemd-analyze security --no-pager memplugd | tail -n 1")
    assert float(said.split("memplugd.service:")[1].split()[0]) <= 2.0, said


def test_introspection(guest):
    said = guest.shells.output("busctl introspect " + OBJECT)
    for word in (".GetStatus", ".PrepareUnplug", ".GuestCurrent", ".UnplugChanged"):
        assert word in said


def test_an_ordinary_user_reads_and_cannot_change(guest):
    status, said = as_user(guest, "busctl get-property %s GuestCurrent" % OBJECT)
    assert status == 0 and said.startswith("t ")
    for method in ("PrepareUnplug", "CheckUnplug", "GetDevices", "SetPolicy"):
        status, said = as_user(guest, "busctl call %s %s 'a{sv}' 0" % (OBJECT, method))
        assert status != 0, method
        assert "polkit" in said or "authentication" in said.lower(), said


def test_polkit_decides(guest):
    guest.shells.output("cat >/etc/polkit-1/rules.d/50-test.rules <<'END'\n%sEND" % POLKIT_RULE)
    wait_until(lambda: as_user(guest, "busctl call %s GetDevices 'a{sv}' 0" % OBJECT)[0] == 0,
               "polkit to follow its new rule")
    guest.shells.output("rm /etc/polkit-1/rules.d/50-test.rules")


def test_the_first_word_after_a_silence_is_answered(guest):
    """A host's first bytes can be faster than the kernel's word that there is a host."""
    for _ in range(2):
        guest.shells.output("sleep 10")
        with Channel(guest.path("agent"), sync=False) as channel:
            assert channel.call("guest-ping") == {}


def test_watch_sees_a_dimm_arrive_and_leave(guest):
    watch = guest.shell_start("memplugctl watch")
    wait_until(lambda: guest.shell("busctl list | grep -q memplugctl")[0] == 0, "watch to begin")
    status, said = host_ctl(guest, "plug", "256M")
    assert status == 0 and "online as movable" in said, said
    watch.wait_output("slot0: new:")
    status, said = host_ctl(guest, "unplug", "memplug-dimm0")
    assert status == 0 and "memplug-dimm0: gone" in said, said
    watch.wait_output("slot0: gone")
    watch.kill()
    watch.wait()


def test_json_is_the_protocols(guest):
    guest.plug_dimm("dimm", 256 << 20)
    guest.wait_states("dimm", "online", "Movable")
    with guest.channel() as channel:
        for words, command, arguments in (
                ("blocks", "memory-get-map", {}), ("policy", "memory-get-policy", {}),
                ("devices", "memory-get-devices", {}), ("jobs", "memory-query-unplug", {}),
                ("plan 256M", "memory-plan-unplug", {"bytes": 256 << 20})):
            said = json.loads(guest.shells.output("memplugctl --json " + words))
            assert said == channel.call(command, **arguments), words


def test_the_watchdog_ends_a_stopped_daemon_and_the_next_takes_over(guest):
    guest.shells.output("mkdir -p /run/systemd/system/memplugd.service.d; "
                        "printf '[Service]\\nWatchdogSec=10\\n' "
                        ">/run/systemd/system/memplugd.service.d/t.conf; "
                        "systemctl daemon-reload; systemctl restart memplugd")
    with guest.channel() as channel:
        job = prepare(channel, {"slot": guest.dimm("dimm")["slot"]}, lease_ms=3600000)
        wait_job(channel, job, "ready")
    before = main_pid(guest)
    guest.shells.output("kill -STOP " + before)
    wait_until(lambda: main_pid(guest) not in (before, "0"), "the watchdog", 300)
    with guest.channel() as channel:
        wait_job(channel, job, "ready")
        guest.wait_states("dimm", "offline")
    guest.shells.output("rm -r /run/systemd/system/memplugd.service.d; systemctl daemon-reload")


def test_an_upgrade_gives_back_what_is_prepared(guest):
    with guest.channel() as channel:
        job = [record for record in channel.call("memory-query-unplug")
               if record["state"] == "ready"][0]["job"]
    guest.shells.output("cd /root; dpkg-deb -R memplug.deb new; "
                        "sed -i 's/^Version: .*/&.1/' new/DEBIAN/control; "
                        "dpkg-deb -b new new.deb; dpkg -i new.deb")
    with guest.channel() as channel:
        assert "agent-stopped" in codes(query(channel, job))
    guest.wait_states("dimm", "online", "Movable")


def test_the_sandbox_lets_huge_pages_come_back(guest):
    pool = "/proc/sys/vm/nr_hugepages"
    # The movable zone, which is the DIMM, is taken from first.
    guest.shells.output("echo 60 >%s" % pool)
    before = guest.shells.output("cat %s" % pool)
    with guest.channel() as channel:
        job = prepare(channel, {"slot": guest.dimm("dimm")["slot"]})
        wait_job(channel, job, "ready")
        assert int(guest.shells.output("cat %s" % pool)) < int(before)
        channel.call("memory-cancel-unplug", job=job)
        record = wait_job(channel, job, "cancelled")
    assert guest.shells.output("cat %s" % pool) == before and record["reasons"] == []
    guest.shells.output("echo 0 >%s" % pool)


def test_doctor(guest):
    _, said = guest.shell("memplugctl doctor --json")
    found = {finding["subject"]: finding["verdict"] for finding in json.loads(said)}
    assert found["daemon"] == "good" and found["port"] == "good" and found["DIMM"] == "good"


UPDATE_GRUB = ("mkdir -p /etc/default; touch /etc/default/grub; "
               "printf '#!/bin/sh\\necho ran >>/run/grub-was; exit $(cat /run/grub-exit)\\n' "
               ">/usr/sbin/update-grub; chmod +x /usr/sbin/update-grub; echo 0 >/run/grub-exit")
GRUB_FILE = "/etc/default/grub.d/memplug.cfg"


def test_boot_policy_runs_the_boot_loaders_own_program(guest):
    """And where that fails, nothing is left written."""
    guest.shells.output(UPDATE_GRUB)
    said = guest.shells.output("memplugctl boot-policy movable")
    assert "ran update-grub" in said and "reboot is needed" in said
    assert guest.shell("grep -q online_movable " + GRUB_FILE)[0] == 0
    assert "ran update-grub" in guest.shells.output("memplugctl boot-policy default")
    assert guest.shell("test -e " + GRUB_FILE)[0] != 0
    assert guest.shells.output("cat /run/grub-was") == "ran\nran\n"
    status, said = guest.shell("echo 7 >/run/grub-exit; memplugctl boot-policy movable 2>&1")
    assert status == 1 and "update-grub failed" in said
    assert guest.shell("test -e " + GRUB_FILE)[0] != 0
    guest.shells.output("rm -r /etc/default/grub* /usr/sbin/update-grub")


def test_journal_fields(guest):
    said = guest.shells.output("journalctl -b --no-pager -o cat -u memplugd MEMPLUG_JOB=1")
    assert "job 1: queued" in said
    last = guest.shells.output("journalctl -b --no-pager -o json -u memplugd MEMPLUG_JOB=1 "
                               "| tail -n 1")
    assert len(json.loads(last)["MESSAGE_ID"]) == 32


def test_idle_costs_nothing(guest):
    guest.shells.output("systemctl restart memplugd")
    if guest._channel:
        guest._channel.close()
    status = "/proc/%s/status" % main_pid(guest)
    guest.shells.output("sleep 5")  # the rest of the start; the next line says from where on
    before = number_in(guest, status, "voluntary_ctxt_switches")
    guest.shells.output("sleep %d" % IDLE_S)
    # The watchdog's, once in 150 s.
    wakeups = number_in(guest, status, "voluntary_ctxt_switches") - before
    figures.record("idle", seconds=IDLE_S, wakeups=wakeups)
    assert wakeups <= 1


# What of a process is resident, by file; the nameless is its heap and stack.
BY_FILE = r"""
awk '/^[0-9a-f]+-[0-9a-f]+ / { n = split($6, part, "/"); file = part[n] ? part[n] : "heap" }
     $1 == "Rss:" { kib[file] += $2 }
     END { for (file in kib) print kib[file], file }' /proc/%s/smaps | sort -rn | head -n 9
"""


def test_it_is_small(guest):
    guest.shells.output("mkdir -p /run/ga; (qemu-ga -m unix-listen -p /run/ga/sock -t /run/ga "
                        ">/dev/null 2>&1 &)")
    wait_until(lambda: guest.shell("pgrep -x qemu-ga && test -S /run/ga/sock")[0] == 0, "qemu-ga")
    # Not VmRSS, which the kernel counts in batches of 64 pages a thread.
    theirs = number_in(guest, "/proc/$(pgrep -x qemu-ga)/smaps_rollup", "Rss")
    ours = number_in(guest, "/proc/%s/smaps_rollup" % main_pid(guest), "Rss")
    parts = guest.shells.output(BY_FILE % main_pid(guest)).splitlines()
    figures.record("resident", memplugd_kib=ours, qemu_ga_kib=theirs,
                   of_that_kib="; ".join(parts))
    assert ours <= 2 * theirs


def test_removed_and_purged_the_system_is_as_before(guest):
    guest.shells.output("DEBIAN_FRONTEND=noninteractive dpkg -r memplug")
    assert guest.shell("pgrep -x memplugd")[0] != 0
    guest.wait_states("dimm", "online", "Movable")
    guest.shells.output("DEBIAN_FRONTEND=noninteractive dpkg -P memplug")
    left = guest.shells.output("find /etc /usr /lib /run /var/lib/systemd -xdev -iname '*memplug*' "
                               "-not -path '/run/systemd/*' -not -path '/run/jobs/*' "
                               "-not -path '/run/udev/*'")
    assert left == ""
    guest.wait_states("dimm", "online", "Movable")
    assert settings_of_the_kernel(guest) == guest.before

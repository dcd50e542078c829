"""memplugctl, over D-Bus and over a socket, and against a guest that means harm."""
import json
import os
import re
import time

import pytest

from ctl import DONE, NO_CONNECTION, REFUSED, USAGE, Guest, Screen, run, start
from daemon import PATIENCE_S, Daemon, wait_until

@pytest.fixture(scope="module")
def daemon():
    with Daemon(bus=True) as made:
        wait_until(lambda: run("jobs", environment=made.environment)[0] == DONE,
                   "memplugd to be on the bus")
        yield made


@pytest.fixture(params=["bus", "socket"])
def ctl(request, daemon):
    """memplugctl by one way or the other, as a function of its words."""
    target = [] if request.param == "bus" else ["--host", "unix:%s" % daemon.socket]
    return lambda *words: run(*target, *words, environment=daemon.environment)


# --- what it prints is what the protocol says ---

@pytest.mark.parametrize("words, command, arguments", [
    (["status"], "memory-get-status", {}),
    (["devices"], "memory-get-devices", {}),
    (["check", "slot0"], "memory-check-unplug", {"devices": [{"id": "slot0"}]}),
    (["plan", "512M"], "memory-plan-unplug", {"bytes": 512 << 20}),
    (["jobs"], "memory-query-unplug", {}),
])
def test_json_is_the_protocols_document(ctl, daemon, words, command, arguments):
    status, output, _ = ctl("--json", *words)
    assert status == DONE
    assert json.loads(output) == daemon.ask(command, **arguments)["return"]


def test_status(ctl):
    status, output, _ = ctl("status")
    assert status == DONE
    assert re.search(r"online +1 GiB", output) and re.search(r"movable +512 MiB", output)
    assert re.search(r"avail +878.9 MiB +shrink +512 MiB +balloon +0 B", output)
    assert re.search(r"slot0 +dimm +512 MiB +512 MiB", output)


def test_a_refused_check_says_why(ctl):
    status, output, _ = ctl("check", "boot")
    assert status == REFUSED
    assert "boot-memory: " in output


def test_a_device_that_is_not_there_is_absent(daemon):
    job = daemon.ask("memory-prepare-unplug", devices=[{"slot": 77}])["return"]["job"]
    devices = wait_until(lambda: [device["state"] for device in daemon.ask(
        "memory-query-unplug", job=job)["return"]["devices"]
        if daemon.ask("memory-query-unplug", job=job)["return"]["state"] == "failed"], "the job's end")
    assert devices == ["absent"]


def test_prepare_that_fails_says_why(ctl):
    status, output, _ = ctl("prepare", "slot0")  # a --sysroot is read-only
    assert status == REFUSED
    assert "Read-only file system" in output


def test_an_address_names_a_device(ctl):
    assert ctl("check", "0x100000000")[0] == DONE
    status, _, error = ctl("check", "0x123")
    assert status == REFUSED and "no device begins at 0x123" in error


@pytest.mark.parametrize("words", [
    [], ["nonsense"], ["check"], ["plan"], ["plan", "1X"], ["plan", "-5M"], ["cancel", "x"],
    ["status", "more"], ["check", "nosuch"], ["prepare", "slot0=5M"], ["plug", "1G"],
    ["--no-such-option", "status"], ["--rezone=perhaps", "policy"], ["--lease-ms=-1", "prepare", "slot0"],
    ["--sysroot=/nowhere", "prepare", "slot0"], ["--key=x", "check", "slot0"],
    ["--allow-more", "status"], ["--movable-ratio=5", "status"], ["--lease-ms=5", "cancel", "1"],
])
def test_usage(ctl, words):
    status, output, error = ctl(*words)
    assert (status, output) == (USAGE, "")
    assert error.startswith("memplugctl: ")


def test_zero_is_not_the_default(ctl):
    """An option that is given is sent: the daemon judges it."""
    assert ctl("--movable-ratio=0", "policy")[0] == REFUSED
    for option in ("lease-ms", "timeout-ms"):
        status, _, error = ctl("--%s=0" % option, "prepare", "slot0")
        assert status == REFUSED and option in error


def test_doctor_is_about_this_machine():
    status, output, error = run("--host", "unix:/nowhere", "doctor")
    assert (status, output) == (USAGE, "") and "--host" in error


def test_no_such_job(ctl):
    status, _, error = ctl("cancel", "4711")
    assert status == REFUSED and "no job 4711" in error


def test_others_see_the_properties_only(daemon):
    if os.geteuid() != 0:
        other = {}  # we are such a user ourselves
    else:
        other = {"user": 65534, "group": 65534}
    status, output, _ = run("status", environment=daemon.environment, **other)
    assert status == DONE
    assert re.search(r"online +1 GiB", output) and "slot0" not in output
    status, _, error = run("check", "slot0", environment=daemon.environment, **other)
    assert status == REFUSED and "only root" in error


# --- connections ---

def test_nobody_there(tmp_path):
    status, _, error = run("--host", "unix:%s" % (tmp_path / "nothing"), "status")
    assert status == NO_CONNECTION and "nothing" in error
    status, _, error = run("status", environment=dict(
        os.environ, DBUS_SYSTEM_BUS_ADDRESS="unix:path=%s" % (tmp_path / "nothing")))
    assert status == NO_CONNECTION


def test_a_bus_that_hangs_up_is_no_connection():
    """And no refusal: whoever reads the exit status may try again."""
    with Daemon(bus=True) as daemon:
        wait_until(lambda: run("jobs", environment=daemon.environment)[0] == DONE, "the bus")
        daemon.signal("SIGSTOP")
        asking = start("status", environment=daemon.environment)
        time.sleep(0.5)  # it is asking by now; if not, there is no bus for it, which is the same
        daemon.bus.kill()
        assert asking.wait(PATIENCE_S) == NO_CONNECTION


def test_output_that_cannot_be_written(daemon):
    with open("/dev/full", "w", encoding="ascii") as full:
        process = start("status", environment=daemon.environment, stdout=full)
        assert process.wait(PATIENCE_S) == REFUSED


# --- a terminal ---

def test_colours_on_a_terminal_only(daemon):
    environment = dict(daemon.environment, TERM="xterm")
    environment.pop("NO_COLOR", None)
    assert "\033[" not in run("status", environment=environment)[1]
    assert "\033[1m" in Screen(environment, "status").end()
    assert "\033[" not in Screen(dict(environment, NO_COLOR="1"), "status").end()


def test_tables_fit_the_terminal(daemon):
    environment = dict(daemon.environment, TERM="xterm", NO_COLOR="1")
    lines = Screen(environment, "devices").end().splitlines()
    assert all(len(line) <= 80 for line in lines if not line.startswith("  "))


# --- a guest that means harm ---

HARM = {
    "nesting": b"[" * 100000 + b"\n",
    "no-json": b"var x = {}\n",
    "comment": b'{"return": /*"*/ 1}\n',
    "two": b'{"return": {}}{"return": {}}\n',
    "half": b'{"return": {"a"\n',
    "twice": b'{"return": {"a": 1, "a": 2}}\n',
    "no-return": b'{"nothing": 1}\n',
    "list": b"[1]\n",
    "many": b'{"return": [' + b"1," * 1100000 + b"1]}\n",
    "endless": b'{"return": "' + b"x" * (17 << 20),
}


@pytest.mark.parametrize("kind", sorted(HARM))
def test_nonsense_is_no_connection(tmp_path, kind):
    guest = Guest(tmp_path / "agent", [HARM[kind]])
    status, output, error = run("--host", "unix:" + guest.path, "devices")
    assert (status, output) == (NO_CONNECTION, "")
    assert error.startswith("memplugctl: ")


EVIL = "\033]0;owned\007\u202edrow\x9b2J\r\n\x7f"


def test_control_bytes_are_escaped(tmp_path):
    device = {"id": EVIL, "kind": EVIL, "size": 5, "state": EVIL,
              "blockers": [{"code": EVIL, "desc": EVIL}]}
    guest = Guest(tmp_path / "agent",
                  [json.dumps({"return": [device]}, ensure_ascii=False).encode() + b"\n"])
    status, output, _ = run("--host", "unix:" + guest.path, "devices")
    assert status == DONE
    assert "\\x1b]0;owned" in output
    assert not set("\033\007\r\x7f\x9b\u202e") & set(output)


def test_control_bytes_in_errors_and_json(tmp_path):
    error_line = json.dumps({"error": {"class": "GenericError", "desc": EVIL}},
                            ensure_ascii=False).encode() + b"\n"
    guest = Guest(tmp_path / "agent", [error_line])
    status, _, error = run("--host", "unix:" + guest.path, "devices")
    assert status == REFUSED
    assert not set("\033\007\r\x7f\x9b\u202e") & set(error)
    guest = Guest(tmp_path / "agent2",
                  [json.dumps({"return": [EVIL]}, ensure_ascii=False).encode() + b"\n"])
    status, output, _ = run("--host", "unix:" + guest.path, "devices", "--json")
    assert json.loads(output) == [EVIL]
    assert output.isascii() and output.rstrip("\n").isprintable()


@pytest.mark.parametrize("answer", [
    {"return": {}}, {"return": 5}, {"return": [1, None, "x"]},
    {"return": [{"id": 5, "size": "many", "blockers": {}, "state": None}]},
])
def test_wrong_types_read_as_nothing(tmp_path, answer):
    guest = Guest(tmp_path / "agent", [json.dumps(answer).encode() + b"\n"])
    assert run("--host", "unix:" + guest.path, "devices")[0] == DONE


def test_huge_figures(tmp_path):
    huge = {"return": [{"first-block": 0, "block-count": (1 << 63) - 1, "state": "online",
                        "zone": "Movable", "device": "x"}] * 3}
    answers = [b'{"return": {"policy": "movable"}}\n', b'{"return": []}\n',
               json.dumps(huge).encode() + b"\n"]
    guest = Guest(tmp_path / "agent", answers)
    assert run("--host", "unix:" + guest.path, "status")[0] == DONE


def runs(n):
    """A map of which no two neighbours agree."""
    return [{"first-block": i, "block-count": 1, "state": "online",
             "zone": ("Normal", "Movable")[i % 2], "node": 0, "device": "slot%d" % (i % 256)}
            for i in range(n)]


REASONS = [{"code": "not-movable", "desc": "x" * 80, "device": "slot0", "block": 1, "bytes": 1}] * 8
LARGE = {
    "blocks": runs(65536),
    "devices": [{"id": "slot%d" % i, "kind": "dimm", "slot": i, "acpi-path": "x", "address": i,
                 "size": 1, "node": 0, "first-block": i, "block-count": 1, "online-movable": 1,
                 "online-kernel": 0, "offline": 0, "state": "in-use", "blockers": REASONS}
                for i in range(256)],
    "jobs": [{"job": i, "state": "failed", "reasons": REASONS * 32, "blocks-done": 0,
              "blocks-total": 256, "bytes": 1, "elapsed-ms": 1,
              "devices": [{"id": "slot%d" % d, "state": "in-use"} for d in range(256)]}
             for i in range(64)],
}


@pytest.mark.parametrize("verb", sorted(LARGE))
def test_the_largest_answers_are_printed(tmp_path, verb):
    """65,536 runs are a map of the largest guest's blocks; 256 devices and 64 jobs are limits."""
    line = json.dumps({"return": LARGE[verb]}).encode() + b"\n"
    guest = Guest(tmp_path / "agent", [line])
    status, output, error = run("--host", "unix:" + guest.path, verb)
    assert (status, error) == (DONE, "")
    assert len(output.splitlines()) > len(LARGE[verb])


def test_old_answers_are_not_taken_for_new(tmp_path, daemon):
    """What another client left in the socket is in front of the synchronisation."""
    guest = Guest(tmp_path / "agent", [b'{"event": "X", "data": {}}\n{"return": [{"id": "new"}]}\n'])
    status, output, _ = run("--host", "unix:" + guest.path, "devices")
    assert status == DONE and "new" in output

"""memplugctl with a person in front of it: Ctrl-C, the question, a narrow terminal."""
import os
import re
import signal
import subprocess
import time

import pytest

from ctl import DONE, NO_CONNECTION, REFUSED, Guest, GuestWithJob, Screen, next_line, run, start
from daemon import BUILD, PATIENCE_S, Daemon, wait_until

PLAIN = dict(os.environ, NO_COLOR="1", TERM="xterm")
QUESTION = "(Enter)?"


def prepare(guest, **options):
    return Screen(PLAIN, "--host", "unix:" + guest.path, "prepare", "slot0", **options)


def test_ctrl_c_asks_and_leaves(tmp_path):
    screen = prepare(GuestWithJob(tmp_path / "agent"))
    screen.until("offlining")
    screen.press("\x03")
    screen.until(QUESTION)
    screen.press("l\n")
    assert "job 1 goes on" in screen.end()
    assert screen.process.returncode == REFUSED


def test_a_dumb_terminal_gets_lines(tmp_path):
    screen = Screen(dict(PLAIN, TERM="dumb"), "--host",
                    "unix:" + GuestWithJob(tmp_path / "agent").path, "prepare", "slot0")
    screen.until("offlining")
    screen.press("\x03")
    screen.until(QUESTION)
    screen.press("l\n")
    assert "\x1b" not in screen.end()


def test_a_second_ctrl_c_leaves(tmp_path):
    screen = prepare(GuestWithJob(tmp_path / "agent"))
    screen.until("offlining")
    screen.press("\x03")
    screen.until(QUESTION)
    screen.press("\x03")
    assert "job 1 goes on" in screen.end()
    assert screen.process.returncode == REFUSED


def test_what_no_person_sends_asks_nobody(tmp_path):
    screen = prepare(GuestWithJob(tmp_path / "agent"))
    screen.until("offlining")
    screen.process.send_signal(signal.SIGTERM)
    said = screen.end()
    assert "job 1 goes on" in said and QUESTION not in said


class FloodingGuest(Guest):
    """More events with each answer than are looked at before the next question."""

    def answer(self, request):
        return b'{"event": "MEMORY_ADDED", "data": {}}\n' * 9 + b'{"return": {}}\n'


def test_ctrl_c_ends_watch(tmp_path):
    guest = Guest(tmp_path / "agent", [b'{"return": {}}\n'] * 1000)
    watch = start("--host", "unix:" + guest.path, "--json", "watch")
    next_line(watch)
    time.sleep(0.5)  # nothing goes on: it waits
    watch.send_signal(signal.SIGINT)
    assert watch.wait(PATIENCE_S) == DONE


def test_ctrl_c_ends_watch_in_a_flood(tmp_path):
    guest = FloodingGuest(tmp_path / "agent")
    watch = start("--host", "unix:" + guest.path, "--json", "watch")
    next_line(watch)
    watch.send_signal(signal.SIGINT)
    assert watch.wait(PATIENCE_S) in (DONE, -signal.SIGINT)


class SilentGuest(Guest):
    """Says something once, and then nothing for a long time."""

    def answer(self, request):
        time.sleep(PATIENCE_S if request["execute"] == "memory-query-unplug" else 0)
        return b'{"return": {}}\n'


def test_ctrl_c_ends_watch_while_nobody_answers(tmp_path):
    guest = SilentGuest(tmp_path / "agent")
    watch = start("--host", "unix:" + guest.path, "--json", "watch")
    time.sleep(0.5)
    begin = time.monotonic()
    watch.send_signal(signal.SIGINT)
    watch.wait(PATIENCE_S)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_progress_is_one_line(tmp_path, columns):
    guest = GuestWithJob(tmp_path / "agent", state="ready", **{"lease-left-ms": 3600000})
    said = prepare(guest, columns=columns).end()
    assert said.count("\n") == 1
    (line,) = re.findall(r"\033\[K([^\r]*)", said)
    assert len(line) < columns and "job 1 ready" in line
    assert ("[#" in line) == (columns >= 80)


def test_no_question_where_nobody_reads_it(tmp_path):
    """Standard input is a terminal, standard output is not."""
    guest = GuestWithJob(tmp_path / "agent")
    ours, theirs = os.openpty()
    process = subprocess.Popen([str(BUILD / "memplugctl"), "--host", "unix:" + guest.path,
                                "prepare", "slot0"], stdin=theirs, stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == REFUSED
    assert b"goes on" in process.stdout.read()
    os.close(ours)
    os.close(theirs)


# --- watch, and a daemon that is not always there ---

@pytest.fixture
def daemon():
    with Daemon(bus=True) as made:
        wait_until(lambda: run("jobs", environment=made.environment)[0] == DONE, "the bus")
        yield made


def stop(daemon):
    daemon.process.kill()
    daemon.process.wait()
    daemon.socket.unlink()


@pytest.mark.parametrize("by", ["bus", "socket"])
def test_watch_outlives_the_daemon(daemon, by):
    target = [] if by == "bus" else ["--host", "unix:%s" % daemon.socket]
    screen = Screen(dict(daemon.environment, NO_COLOR="1"), *target, "watch")
    screen.until("slot0")
    stop(daemon)
    screen.until("memplugd does not answer")
    daemon.tree.block(32, "Normal")
    daemon.start()
    screen.until("384 MiB movable")
    screen.process.send_signal(signal.SIGINT)
    screen.end()


def test_watch_needs_a_daemon_to_begin_with(daemon):
    stop(daemon)
    assert run("watch", environment=daemon.environment)[0] == NO_CONNECTION


def test_watch_sees_what_only_the_status_says(daemon):
    watch = start("--json", "watch", environment=daemon.environment)
    assert b"guest-requested" not in next_line(watch)
    daemon.ask("memory-set-target", bytes=1 << 30)
    assert b"guest-requested" in next_line(watch)
    watch.kill()
    watch.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_watch_asks_polkit_once(daemon):
    """It may be a person who is asked for a password."""
    watch = start("--json", "watch", environment=daemon.environment, user=65534, group=65534)
    for step in range(3):
        assert next_line(watch)
        daemon.ask("memory-set-target", bytes=(1 + step) << 30)
    assert daemon.wait_logged("is refused GetStatus").count("is refused GetStatus") == 1
    watch.kill()
    watch.wait()

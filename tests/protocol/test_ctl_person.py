"""memplugctl with a person in front of it: Ctrl-C, the question, a narrow terminal."""
import os
import re
import signal
import subprocess

import pytest

from ctl import DONE, REFUSED, Guest, GuestWithJob, Screen, start
from daemon import BUILD, PATIENCE_S

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


@pytest.mark.parametrize("kind", [Guest, FloodingGuest])
def test_ctrl_c_ends_watch(tmp_path, kind):
    guest = kind(tmp_path / "agent", [b'{"return": {}}\n'] * 1000)
    watch = start("--host", "unix:" + guest.path, "--json", "watch")
    watch.stdout.readline()
    watch.send_signal(signal.SIGINT)
    assert watch.wait(PATIENCE_S) == DONE


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

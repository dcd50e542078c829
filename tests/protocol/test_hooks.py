"""memplugctl hooks: an administrator's scripts around each unplug, and what ends in between."""
import os
import stat
import subprocess

import pytest

from bus import Peer
from ctl import start
from daemon import PATIENCE_S, ROOT, Daemon, wait_until

SCRIPT = """#!/bin/sh
echo "$(basename "$0") $1 $MEMPLUG_JOB $MEMPLUG_BYTES" >>%(log)s
%(body)s
"""
SIZE = 4 * 128 << 20


class Hooks:
    """The service, with a directory of scripts."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.dir, self.state = daemon.folder / "unplug.d", daemon.folder / "hooks"
        self.log_path = daemon.folder / "hooks.log"
        self.dir.mkdir()
        self.process = None

    def script(self, name, body="exit 0", mode=0o755):
        path = self.dir / name
        path.write_text(SCRIPT % {"log": self.log_path, "body": body})
        path.chmod(mode)

    def start(self):
        environment = dict(self.daemon.environment, RUNTIME_DIRECTORY=str(self.state))
        self.process = start("hooks", str(self.dir), environment=environment)
        self.wait_lock()

    def wait_lock(self):
        with Peer(self.daemon) as peer:
            wait_until(lambda: peer.call("GetPolicy") is None and
                       [entry for entry in peer.inhibitors() if entry[0] == "memplug-hooks"],
                       "the service's lock")

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def log(self):
        return self.log_path.read_text().splitlines() if self.log_path.exists() else []

    def wait(self, *lines):
        wait_until(lambda: set(lines) <= set(self.log()), "%s in %s" % (lines, self.log()))
        return self.log()

    def records(self):
        return os.listdir(self.state)


@pytest.fixture
def hooks():
    with Daemon(bus=True, config="[unplug]\napplication-delay-ms=20000\n") as daemon:
        made = Hooks(daemon)
        yield made
        if made.process and made.process.poll() is None:
            made.kill()


def prepare(hooks):
    return hooks.daemon.ask("memory-prepare-unplug", devices=[{"slot": 0}],
                            **{"timeout-ms": 600000})["return"]["job"]


def query(hooks, job):
    return hooks.daemon.ask("memory-query-unplug", job=job)["return"]


def wait_failed(hooks, job):
    """The job's end, in this guest where nothing can be written."""
    wait_until(lambda: query(hooks, job)["state"] == "failed", "the job to fail")
    return query(hooks, job)["reasons"]


def test_phases(hooks):
    """check, pre, and undo in the reverse order, as the memory did not leave."""
    hooks.script("10-a")
    hooks.script("20-b")
    hooks.script("30-left-out", mode=0o777)
    hooks.script("40-no-program", mode=0o644)
    hooks.start()
    job = prepare(hooks)
    wait_failed(hooks, job)
    hooks.wait("10-a undo %d %d" % (job, SIZE))
    assert hooks.log() == ["%s %s %d %d" % (name, phase, job, SIZE) for phase, names in
                           (("check", ("10-a", "20-b")), ("pre", ("10-a", "20-b")),
                            ("undo", ("20-b", "10-a"))) for name in names]
    wait_until(lambda: not hooks.records(), "the record to go")
    hooks.wait_lock()


def test_veto(hooks):
    """The reason names the script and what it said; no script is told pre or undo."""
    hooks.script("db", 'echo "the cache is full"; [ $1 != check ]')
    hooks.start()
    job = prepare(hooks)
    reasons = wait_failed(hooks, job)
    assert [reason["code"] for reason in reasons] == ["inhibited"]
    assert "memplug-hooks (db)" in reasons[0]["desc"] and "the cache is full" in reasons[0]["desc"]
    with Peer(hooks.daemon) as peer:
        wait_until(lambda: [entry[2] for entry in peer.inhibitors()] == ["delay"], "the veto to end")
    assert hooks.log() == ["db check %d %d" % (job, SIZE)]


def test_a_script_that_does_not_end(hooks):
    """Is aborted, then killed, with what it has started; the job goes on, and undo follows."""
    hooks.daemon.config.write_text("[unplug]\napplication-delay-ms=1500\n")
    hooks.daemon.signal("SIGHUP")
    hooks.script("stuck", "trap '' ABRT; [ $1 != pre ] || { sleep 1000; sleep 1000; }")
    hooks.start()
    with Peer(hooks.daemon) as peer:
        wait_until(lambda: peer.number("ApplicationDelayMs") == 1500, "the reload")
    job = prepare(hooks)
    wait_failed(hooks, job)
    hooks.wait("stuck undo %d %d" % (job, SIZE))
    hooks.wait_lock()


@pytest.mark.parametrize("round_", range(int(os.environ.get("HOOK_ROUNDS", "2"))))
@pytest.mark.parametrize("victim", ["daemon", "hooks", "both"])
def test_a_crash_in_the_middle_of_pre(hooks, victim, round_):
    """Whoever is killed: undo follows each pre."""
    hooks.script("slow", 'if [ $1 = pre ]; then while [ ! -e %s/go ]; do sleep 0.05; done; fi'
                 % hooks.daemon.folder)
    hooks.start()
    job = prepare(hooks)
    hooks.wait("slow pre %d %d" % (job, SIZE))
    if victim in ("hooks", "both"):
        hooks.kill()
    if victim in ("daemon", "both"):
        hooks.daemon.signal("SIGKILL")
        hooks.daemon.process.wait()
        hooks.daemon.start()
    (hooks.daemon.folder / "go").touch()
    wait_failed(hooks, job)
    if victim in ("hooks", "both"):
        hooks.start()
    hooks.wait("slow undo %d %d" % (job, SIZE))
    wait_until(lambda: not hooks.records(), "the record to go")
    assert hooks.log().count("slow undo %d %d" % (job, SIZE)) == 1


def test_the_state_is_roots_own(hooks):
    hooks.start()
    assert stat.S_IMODE(os.stat(hooks.state).st_mode) == 0o700


@pytest.mark.parametrize("limit, phase, status, then", [
    (1000, "check", 0, 1000), (300, "check", 1, 300), (0, "check", 0, 0), (1000, "pre", 0, 600),
    (0, "pre", 0, 0), (600, "undo", 0, 1000), (600, "grown", 0, 1000), (600, "post", 0, 600)])
def test_the_example_for_valkey(tmp_path, limit, phase, status, then):
    """Its limit falls by what is to leave, and rises again; without one nothing is set."""
    cli, kept = tmp_path / "cli", tmp_path / "limit"
    kept.write_text("%d\n" % limit)
    cli.write_text('#!/bin/sh\ncase "$1 $2" in "config get") echo maxmemory; cat %s ;;\n'
                   '"config set") echo "$4" >%s ;; esac\n' % (kept, kept))
    cli.chmod(0o755)
    done = subprocess.run([str(ROOT / "docs/examples/unplug.d/valkey"), phase], check=False,
                          env=dict(os.environ, CLI=str(cli), MEMPLUG_BYTES="400"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, int(kept.read_text())) == (status, then)
    assert (status == 0) or "smaller than what is to leave" in done.stdout


def test_the_examples_are_shell():
    for path in (ROOT / "docs/examples/unplug.d").iterdir():
        subprocess.run(["sh", "-n", str(path)], check=True)
        assert os.access(path, os.X_OK)

"""memplugd on D-Bus: what its own clients do not show."""
import os
import select
import signal

import pytest

from bus import Peer
from ctl import DONE, REFUSED, USAGE, run, start
from daemon import PATIENCE_S, Daemon, wait_until


@pytest.fixture
def daemon():
    with Daemon(bus=True) as made:
        with Peer(made) as peer:
            wait_until(lambda: peer.call("GetPolicy") is None, "memplugd to be on the bus")
        yield made


def test_what_the_channel_sets_is_announced(daemon):
    with Peer(daemon) as peer:
        peer.listen()
        assert daemon.ask("memory-set-target", bytes=1 << 30)["return"] == {}
        peer.signal("PropertiesChanged")


def test_properties_are_the_figures_of_the_status(daemon):
    assert daemon.ask("memory-set-target", bytes=3 << 30)["return"] == {}
    status = daemon.ask("memory-get-status")["return"]
    with Peer(daemon, other=True) as peer:
        for name, figure in (("BlockSize", "block-size"), ("GuestAtBoot", "guest-at-boot"),
                             ("GuestCurrent", "guest-current"),
                             ("GuestRequested", "guest-requested")):
            assert peer.number(name) == status[figure] > 0


def test_a_large_request_does_not_wait_for_polkit(daemon):
    """What waits is kept, and nobody's megabytes are worth that."""
    with Peer(daemon, other=True) as peer:
        assert peer.call("GetPolicy", x="y") == "org.freedesktop.DBus.Error.AccessDenied"
        assert (peer.call("GetPolicy", x="y" * (2 << 20)) ==
                "org.freedesktop.DBus.Error.InvalidArgs")


def test_a_request_of_too_many_values(daemon):
    """Small ones, below what the bytes would refuse."""
    with Peer(daemon, other=True) as peer:
        for n, error in ((16000, "AccessDenied"), (17000, "InvalidArgs")):
            many = {"k%d" % i: "" for i in range(n)}
            assert peer.call("GetPolicy", **many) == "org.freedesktop.DBus.Error." + error


def check(daemon):
    return daemon.ask("memory-check-unplug", devices=[{"slot": 0}])["return"]


def inhibited_by(daemon):
    """What a check says of applications that said no."""
    return [reason["desc"] for reason in check(daemon)["reasons"] if reason["code"] == "inhibited"]


def test_a_block_lock_refuses_until_its_last_copy_is_closed(daemon):
    with Peer(daemon) as peer, Peer(daemon) as other:
        other.listen()
        lock = peer.inhibit("backup\n", "runs \x1b[2J", "block")
        other.signal("PropertiesChanged")
        assert peer.inhibitors() == [("backup\\x0a", "runs \\x1b[2J", "block", os.geteuid(),
                                      os.getpid())]
        said = inhibited_by(daemon)
        assert len(said) == 1 and "backup\\x0a (uid" in said[0] and "runs \\x1b[2J" in said[0]
        job = daemon.ask("memory-prepare-unplug", devices=[{"slot": 0}])["return"]["job"]
        job = daemon.ask("memory-query-unplug", job=job)["return"]
        assert job["state"] == "failed"
        assert "inhibited" in [reason["code"] for reason in job["reasons"]]
        copy = os.dup(lock)
        os.close(lock)
        assert peer.inhibitors() and inhibited_by(daemon)
        os.close(copy)
        wait_until(lambda: not peer.inhibitors(), "the lock to end")
        assert not inhibited_by(daemon)


def test_a_lock_ends_with_its_process(daemon):
    with Peer(daemon) as peer:
        ready, wake = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            with Peer(daemon) as mine:
                mine.inhibit("child", "lives", "delay")
                os.write(ready[1], b"x")
                os.read(wake[0], 1)  # for ever
            os._exit(0)
        os.read(ready[0], 1)
        assert [entry[0] for entry in peer.inhibitors()] == ["child"]
        os.kill(child, 9)
        os.waitpid(child, 0)
        wait_until(lambda: not peer.inhibitors(), "the lock to end")


def test_a_lock_outlives_its_connection(daemon):
    """The descriptor is the lock, not the connection that asked for it."""
    with Peer(daemon) as watcher:
        with Peer(daemon) as peer:
            lock = peer.inhibit("db", "cache", "delay")
        assert watcher.inhibitors()
        os.close(lock)
        wait_until(lambda: not watcher.inhibitors(), "the lock to end")


def prepare(daemon, **arguments):
    return daemon.ask("memory-prepare-unplug", devices=[{"slot": 0}], **arguments)["return"]["job"]


def state(daemon, job):
    return daemon.ask("memory-query-unplug", job=job)["return"]["state"]


def test_a_delay_lock_is_waited_for(daemon):
    """Until it is released; the job then fails here, where nothing can be written."""
    size = 4 * 128 << 20
    with Peer(daemon) as peer:
        peer.listen()
        lock = peer.inhibit("db", "its cache shrinks", "delay")
        job = prepare(daemon, **{"timeout-ms": 600000})
        assert peer.signal("PrepareForUnplug", "btt") == [1, job, size]
        assert state(daemon, job) == "asking"
        for words in (("jobs",), ("jobs", str(job))):
            _, said, _ = run(*words, environment=daemon.environment)
            assert "delay: db: its cache shrinks" in said, said
        os.close(lock)
        assert peer.signal("PrepareForUnplug", "btt") == [0, job, 0]
        assert state(daemon, job) == "failed"
        job = prepare(daemon)  # nobody has a lock, but who listens is told
        assert peer.signal("PrepareForUnplug", "btt") == [1, job, size]
        assert peer.signal("PrepareForUnplug", "btt") == [0, job, 0]


def test_a_delay_is_bounded(daemon):
    """By the setting, for an application that never answers."""
    daemon.config.write_text("[unplug]\napplication-delay-ms=50\n")
    daemon.signal("SIGHUP")
    with Peer(daemon) as peer:
        wait_until(lambda: peer.number("ApplicationDelayMs") == 50, "the reload")
        lock = peer.inhibit("dead", "does not answer", "delay")
        job = prepare(daemon)
        wait_until(lambda: state(daemon, job) == "failed", "the job to go on")
        os.close(lock)


def test_a_block_lock_while_it_is_asked_is_a_veto(daemon):
    with Peer(daemon) as peer:
        peer.listen()
        delay = peer.inhibit("db", "asks back", "delay")
        job = prepare(daemon, **{"timeout-ms": 600000})
        assert peer.signal("PrepareForUnplug", "btt")[0] == 1
        block = peer.inhibit("db", "has no room", "block")
        assert peer.signal("PrepareForUnplug", "btt") == [0, job, 0]
        reasons = daemon.ask("memory-query-unplug", job=job)["return"]["reasons"]
        assert [reason["code"] for reason in reasons] == ["inhibited"]
        assert "has no room" in reasons[0]["desc"]
        os.close(delay)
        os.close(block)


def test_a_crash_while_it_asks(daemon):
    """The next daemon has no locks, so the job goes on; the descriptor tells its holder."""
    with Peer(daemon) as peer:
        lock = peer.inhibit("db", "has a cache", "delay")
        job = prepare(daemon, **{"timeout-ms": 600000})
        wait_until(lambda: state(daemon, job) == "asking", "the job to ask")
        daemon.signal("SIGKILL")
        daemon.process.wait()
        poll = select.poll()
        poll.register(lock, 0)
        assert [event for _, event in poll.poll(PATIENCE_S * 1000)] == [select.POLLERR]
        daemon.start()
        wait_until(lambda: state(daemon, job) == "failed", "the job to go on")
        os.close(lock)


def test_what_a_lock_may_be(daemon):
    wrong = "org.freedesktop.DBus.Error.InvalidArgs"
    with Peer(daemon) as peer, Peer(daemon, other=True) as other:
        for who, why, mode in (("", "why", "delay"), ("who", "", "delay"), ("who", "why", "shutdown"),
                               ("w" * 129, "why", "delay"), ("who", "w" * 513, "block")):
            assert peer.inhibit(who, why, mode) == wrong
        assert other.inhibit("who", "why", "block") == "org.freedesktop.DBus.Error.AccessDenied"
        locks = [peer.inhibit("w" * 128, "w" * 512, "block") for _ in range(64)]
        assert peer.inhibit("who", "why", "delay") == "org.freedesktop.DBus.Error.LimitsExceeded"
        assert len(peer.inhibitors()) == 64 and len(inhibited_by(daemon)) == 64
        for lock in locks:
            os.close(lock)
        wait_until(lambda: not peer.inhibitors(), "the locks to end")
        assert daemon.process.poll() is None


def inhibit(daemon, *words):
    return start("inhibit", "--who", "backup", "--why", "it runs", *words,
                 environment=daemon.environment)


def test_memplugctl_inhibit(daemon):
    """The lock stands for as long as the command runs, and the exit status is the command's."""
    process = inhibit(daemon, "--mode", "block", "--", "sh", "-c", "read line; exit 7")
    with Peer(daemon) as peer:
        assert process.wait(PATIENCE_S) == 7  # the command reads nothing, and ends
        wait_until(lambda: not peer.inhibitors(), "the lock to end")
        process = inhibit(daemon, "--mode=block", "--", "sleep", "1000")
        wait_until(peer.inhibitors, "the lock")
        assert peer.inhibitors()[0][:3] == ("backup", "it runs", "block")
        status, shown, _ = run("status", environment=daemon.environment)
        assert status == DONE and "block: backup: it runs" in shown
        status, shown, _ = run("check", "slot0", environment=daemon.environment)
        assert status == REFUSED and "inhibited: backup" in shown
        process.terminate()  # is passed on
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
        wait_until(lambda: not peer.inhibitors(), "the lock to end")


def test_memplugctl_inhibit_outlives_the_daemon(daemon):
    process = inhibit(daemon, "--", "sleep", "1000")
    with Peer(daemon) as peer:
        wait_until(peer.inhibitors, "the lock")
    daemon.signal("SIGKILL")
    daemon.process.wait()
    daemon.start()
    with Peer(daemon) as peer:
        wait_until(lambda: peer.call("GetPolicy") is None and peer.inhibitors(), "the lock again")
        process.kill()  # nobody is left to hold it
        wait_until(lambda: not peer.inhibitors(), "the lock to end")


def test_memplugctl_inhibit_that_makes_no_sense(daemon):
    for words, wanted in ((("--why", "x", "--", "true"), USAGE),
                          (("--who", "w", "--why", "x"), USAGE),
                          (("--who", "w", "--why", "x", "--mode", "sleep", "--", "true"), REFUSED),
                          (("--who", "w", "--why", "x", "--", "/no/such/command"), 127)):
        assert run("inhibit", *words, environment=daemon.environment)[0] == wanted

"""What the service manager sees, and SIGHUP."""
import os
import re
import socket
import subprocess

import pytest

from daemon import BUILD, PATIENCE_S, ROOT, Daemon, Tree


class Notifications:
    """The manager's end of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(PATIENCE_S)

    def next(self):
        """The next message as a dictionary."""
        lines = self._socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def until(self, field):
        """The next message that has `field`."""
        while True:
            message = self.next()
            if field in message:
                return message

    def close(self):
        self._socket.close()


@pytest.fixture
def notifications(tmp_path):
    made = Notifications(tmp_path)
    yield made
    made.close()


def test_ready_with_a_status(notifications):
    with Daemon(environment={"NOTIFY_SOCKET": notifications.path}):
        message = notifications.next()
        assert message["READY"] == "1"
        assert message["STATUS"] == "512 MiB of 1 GiB is online as movable"


def test_status_follows_a_job(notifications):
    with Daemon(environment={"NOTIFY_SOCKET": notifications.path}) as daemon:
        notifications.until("READY")
        daemon.tree.block(35, "Normal")
        daemon.ask("memory-get-status")
        assert notifications.next()["STATUS"] == "384 MiB of 1 GiB is online as movable"


def test_status_tells_of_a_port_that_cannot_be_opened(notifications, tmp_path):
    port = tmp_path / "port"
    with Daemon(environment={"NOTIFY_SOCKET": notifications.path}, port=port):
        memory = "512 MiB of 1 GiB is online as movable"
        assert notifications.until("READY")["STATUS"] == "%s; there is no port %s" % (memory, port)
        port.mkdir()
        assert notifications.next()["STATUS"] == \
            "%s; cannot open the port %s: Is a directory" % (memory, port)
        port.rmdir()
        os.mkfifo(port)
        while notifications.next()["STATUS"] != memory:
            pass


def test_watchdog_is_fed(notifications):
    environment = {"NOTIFY_SOCKET": notifications.path, "WATCHDOG_USEC": "200000"}
    with Daemon(environment=environment):
        notifications.until("READY")
        assert [notifications.next() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3


def test_stopping(notifications):
    with Daemon(environment={"NOTIFY_SOCKET": notifications.path}) as daemon:
        notifications.until("READY")
        daemon.signal("SIGTERM")
        assert notifications.next()["STOPPING"] == "1"
        assert daemon.process.wait(PATIENCE_S) == 0


def test_sighup_loads_new_settings(notifications):
    with Daemon(environment={"NOTIFY_SOCKET": notifications.path}) as daemon:
        notifications.until("READY")
        assert "return" in daemon.ask("guest-ping")
        daemon.config.write_text("[protocol]\nblock-rpcs=guest-ping\n")
        daemon.signal("SIGHUP")
        assert "MONOTONIC_USEC" in notifications.until("RELOADING")
        assert notifications.next()["READY"] == "1"
        assert daemon.ask("guest-ping")["error"]["class"] == "CommandNotFound"


@pytest.mark.parametrize("mistake, word", [
    ("[online]\npolicy=sideways\n", "sideways"),
    ("[nowhere]\nkey=1\n", "nowhere"),
])
def test_sighup_with_a_mistake_keeps_the_old(notifications, mistake, word):
    with Daemon(environment={"NOTIFY_SOCKET": notifications.path},
                config="[protocol]\nblock-rpcs=guest-ping\n") as daemon:
        notifications.until("READY")
        daemon.config.write_text(mistake)
        daemon.signal("SIGHUP")
        notifications.until("RELOADING")
        message = notifications.next()
        assert message["READY"] == "1"
        assert word in message["STATUS"]
        daemon.wait_logged(word)
        assert daemon.ask("guest-ping")["error"]["class"] == "CommandNotFound"
        assert "return" in daemon.ask("memory-get-status")


# Every key with two values that differ. The third: whether a reload can take it over.
KEYS = {
    "channel.method": ("unix-listen", "virtio-serial", False),
    "channel.path": ("/tmp/a", "/tmp/b", False),
    "channel.upstream": ("/tmp/a", "/tmp/b", False),
    "protocol.allow-rpcs": ("guest-ping;memory-get-policy", "guest-ping", True),
    "protocol.block-rpcs": ("guest-info", "memory-get-policy", True),
    "online.policy": ("none", "movable", True),
    "online.existing": ("leave", "adopt", False),
    "online.rezone": ("no", "yes", True),
    "online.kernel-settings": ("no", "yes", True),
    "online.movable-ratio": ("100", "200", True),
    "online.kernel-floor-bytes": ("1000000", "2000000", True),
    "unplug.timeout-ms": ("1000", "2000", True),
    "unplug.lease-ms": ("1000", "2000", True),
    "unplug.reserve-bytes": ("1000000", "2000000", True),
    "unplug.use-swap": ("50", "100", True),
    "unplug.application-delay-ms": ("1000", "2000", True),
    "unplug.gate": ("yes", "no", False),
}


def conf(value_of):
    """A configuration with a value for each key."""
    return "".join("[%s]\n%s=%s\n" % (*key.split("."), value_of(key)) for key in KEYS)


def reload_and_log(daemon, notifications, text):
    """What a reload with that configuration says."""
    before = len(daemon.log())
    daemon.config.write_text(text)
    daemon.signal("SIGHUP")
    notifications.until("RELOADING")
    notifications.until("READY")
    return daemon.wait_logged("settings loaded anew", before)


def test_every_setting_is_in_the_list():
    rows = re.findall(r'^ +\{"(\w+)", "([a-z-]+)", (LIVE|AT_START)',
                      (ROOT / "agent/os/settings.c").read_text(), re.M)
    assert {"%s.%s" % row[:2]: row[2] == "LIVE" for row in rows} == {
        key: live for key, (_, _, live) in KEYS.items()}


def test_a_reload_names_what_it_cannot_take_over(notifications):
    """Each key alone is changed; a second reload, and one that changes it back, say what is so."""
    with Daemon(environment={"NOTIFY_SOCKET": notifications.path},
                config=conf(lambda key: KEYS[key][0])) as daemon:
        notifications.until("READY")
        for changed, (_, _, live) in KEYS.items():
            text = conf(lambda key, changed=changed: KEYS[key][key == changed])
            said = "[%s] %s: the change " % tuple(changed.split("."))
            given = changed in ("channel.method", "channel.path")  # on the command line
            expected = {(False, False): "takes effect at the next start",
                        (True, False): "has no effect, as the command line says otherwise"
                        }.get((given, live))
            log = reload_and_log(daemon, notifications, text)
            assert log.count("the change ") == (1 if expected else 0), log
            assert not expected or said + expected in log
            if expected and not given:
                assert said + expected in reload_and_log(daemon, notifications, text)
            back = reload_and_log(daemon, notifications, conf(lambda key: KEYS[key][0]))
            assert ("the change " in back) == given, back


def test_a_live_setting_is_in_force_after_a_reload(notifications):
    with Daemon(environment={"NOTIFY_SOCKET": notifications.path}, config=conf(
            lambda key: KEYS[key][0])) as daemon:
        notifications.until("READY")
        assert "return" in daemon.ask("memory-get-policy")
        reload_and_log(daemon, notifications, conf(lambda key: KEYS[key][1]))
        assert daemon.ask("memory-get-policy")["error"]["class"] == "CommandNotFound"


def test_without_a_boot_id_there_is_no_daemon(tmp_path):
    """Files of another boot could be taken for this one's: it says so, and does not start."""
    tree = Tree(tmp_path / "root")
    boot_id = tree.root / "proc/sys/kernel/random/boot_id"
    boot_id.unlink()
    boot_id.mkdir()
    done = subprocess.run(
        [str(BUILD / "memplugd"), "--sysroot=%s" % tree.root, "-m", "unix-listen",
         "-p", str(tmp_path / "sock"), "-t", str(tmp_path / "state"), "-c", "/dev/null"],
        text=True, capture_output=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert "cannot read /proc/sys/kernel/random/boot_id: Is a directory" in done.stderr


@pytest.mark.parametrize("config, answer", [
    ("", "online"), ("[online]\npolicy=auto\n", "online"), ("[online]\npolicy=none\n", "leave"),
    ("[online]\npolicy=kernel\n", "leave"), ("[online]\nexisting=leave\n", "leave"),
    ("[online]\npolicy=sideways\n", "leave"),
])
def test_what_udevs_rule_goes_by(tmp_path, config, answer):
    """The answer is a file, so that the rule runs no program; another answer takes it away."""
    (tmp_path / "conf").write_text(config)
    for before in (False, True):
        if before:
            (tmp_path / "state/rule-online").touch()
        done = subprocess.run(
            [str(BUILD / "memplugd"), "--rule", "-t", str(tmp_path / "state"),
             "-c", str(tmp_path / "conf")],
            text=True, capture_output=True, timeout=PATIENCE_S, check=False)
        assert (done.returncode, done.stdout) == (0, answer + "\n"), done.stderr
        assert (tmp_path / "state/rule-online").exists() == (answer == "online")


@pytest.mark.parametrize("where", ["memplugd.conf.d", "memplugd.conf.d/50-site.conf", "memplugd.conf"])
def test_what_may_not_be_read_is_an_error(tmp_path, where):
    """The unit has no CAP_DAC_OVERRIDE: what belongs to another user may be closed to it."""
    (tmp_path / "memplugd.conf.d").mkdir()
    (tmp_path / "memplugd.conf").write_text("")
    (tmp_path / "memplugd.conf.d/50-site.conf").write_text("[online]\npolicy=none\n")
    os.chown(tmp_path / where, 65534, 65534)
    os.chmod(tmp_path / where, 0)
    tmp_path.chmod(0o755)
    done = subprocess.run(
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search", str(BUILD / "memplugd"), "-D",
         "-c", str(tmp_path / "memplugd.conf")],
        text=True, capture_output=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1 and not done.stdout
    assert "%s: Permission denied" % (tmp_path / where) in done.stderr

"""What the service manager sees, and SIGHUP."""
import socket

import pytest

from daemon import PATIENCE_S, Daemon


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
    ("[protocol]\nblock-rpcs=no-such\n", "no-such"),
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
        assert word in daemon.log()
        assert daemon.ask("guest-ping")["error"]["class"] == "CommandNotFound"
        assert "return" in daemon.ask("memory-get-status")

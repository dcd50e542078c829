"""Starting, stopping and killing memplugd inside a guest, and its configuration."""
from .waiting import wait_until

DROP_IN = "/etc/memplug/memplugd.conf.d/test.conf"
# Everything that the tests ask, and memory-set-policy, which is blocked where nobody names it.
ALLOW = "; ".join(("guest-sync-delimited", "guest-ping", "memory-get-status", "memory-get-devices",
                   "memory-query-unplug", "memory-prepare-unplug", "memory-cancel-unplug",
                   "memory-get-policy", "memory-set-policy"))


def configure(guest, **online):
    """Writes the [online] group (`_` means `-`) for the next start; none removes it."""
    lines = "".join("%s=%s\n" % (key.replace("_", "-"), value) for key, value in online.items())
    guest.shells.output("mkdir -p ${0%%/*}; printf '[online]\\n%s' >%s"
                        .replace("${0%%/*}", DROP_IN.rpartition("/")[0])
                        % (lines.replace("\n", "\\n"), DROP_IN))


def is_running(guest):
    return guest.shell("pidof memplugd")[0] == 0


def wait_ready(guest):
    """Waits until it answers: from then on signals find it prepared."""
    with guest.channel() as channel:
        channel.call("guest-ping")


def stop(guest):
    """SIGTERM; returns the exit status."""
    guest.shells.output("kill -TERM $(cat /run/memplugd.pid)")
    status = wait_until(lambda: guest.shell("cat /run/memplugd.status 2>/dev/null")[1],
                        "the daemon to end")
    return int(status)


def kill(guest):
    """SIGKILL; its worker has to go with it."""
    guest.shells.output("kill -KILL $(cat /run/memplugd.pid)")
    wait_until(lambda: not is_running(guest), "the daemon and its worker to die")


def start(guest, *arguments):
    """Starts it and waits until it answers."""
    guest.shells.output("start-memplugd %s >/dev/null 2>&1 &"
                        % " ".join("'%s'" % argument for argument in arguments))
    wait_ready(guest)


def log(guest):
    return guest.shells.output("cat /run/memplugd.log")

"""allow-rpcs and block-rpcs: which commands may be used, and what is wrong at the start."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from daemons import BUILD, MARK_REPLY, MARK_REQUEST, exchange, make_tree, start_memplugd
from schema_check import Schema, with_aliases

OWN = {name for name in Schema().commands if name.startswith("memory-")}
ALL = with_aliases(Schema().commands)
OPT_IN = {"memory-set-policy", "guest-memory-set-policy"}
# What every exchange of the tests needs.
SYNC = "guest-sync"


def enabled(daemon):
    """The commands that guest-info tells of as enabled."""
    with daemon.connect() as peer:
        line = exchange(peer, [b'{"execute":"guest-info"}', MARK_REQUEST], MARK_REPLY)
    info = json.loads(line.split(b"\n")[0])["return"]["supported_commands"]
    assert sorted(command["name"] for command in info) == sorted(ALL)
    return {command["name"] for command in info if command["enabled"]}


def refusal(daemon, name):
    """The error of a command."""
    reply = json.loads(daemon.ask([b'{"execute":"%s"}' % name.encode()]).split(b"\n")[0])
    return reply["error"]


@pytest.mark.parametrize("options, expected", [
    ([], ALL - OPT_IN),
    (["-b", "memory-set-target;guest-get-memory-blocks"],
     ALL - OPT_IN - {"memory-set-target", "guest-memory-set-target", "guest-get-memory-blocks"}),
    (["-b", "guest-memory-set-target,guest-get-memory-blocks"],
     ALL - OPT_IN - {"memory-set-target", "guest-memory-set-target", "guest-get-memory-blocks"}),
    (["-a", "guest-sync; guest-info; memory-set-policy"], {SYNC, "guest-info"} | OPT_IN),
    (["-a", "guest-sync; guest-info; guest-memory-set-policy"], {SYNC, "guest-info"} | OPT_IN),
    (["-a", "guest-sync;guest-info;guest-ping", "-b", "guest-ping"], {SYNC, "guest-info"}),
    (["--allow-rpcs=guest-sync;guest-info", "--block-rpcs=memory-set-policy"], {SYNC, "guest-info"}),
])
def test_lists(tmp_path, options, expected):
    """What is listed is what may be used, and guest-info tells it."""
    daemon = start_memplugd(tmp_path / "mp", *options)
    try:
        assert enabled(daemon) == expected
        for name in ALL - expected:
            assert refusal(daemon, name) == {"class": "CommandNotFound",
                                             "desc": "Command %s has been disabled: the command is not allowed" % name}
    finally:
        assert daemon.stop() == 0


def test_both_names_are_one_command(tmp_path):
    """The same arguments, results and complaints; only a refusal says the name that was sent."""
    daemon = start_memplugd(tmp_path / "mp", "-a", ";".join(ALL))
    try:
        for name in sorted(OWN):
            for arguments in (b"{}", b'{"bytes":1,"enabled":true}', b'{"job":7}'):
                own, alias = (daemon.ask([b'{"execute":"%s%s","arguments":%s,"id":1}'
                                          % (prefix, name.encode(), arguments)])
                              for prefix in (b"", b"guest-"))
                assert own == alias and b"not been found" not in own, name
        assert refusal(daemon, "guest-memory-ping") == {
            "class": "CommandNotFound", "desc": "The command guest-memory-ping has not been found"}
        assert refusal(daemon, "guest-guest-ping")["class"] == "CommandNotFound"
    finally:
        assert daemon.stop() == 0


def test_lists_of_the_configuration(tmp_path):
    """In [protocol]; the command line's list takes the place of the file's."""
    conf = tmp_path / "conf"
    conf.write_text("[protocol]\nallow-rpcs=guest-sync;guest-info;guest-ping;\nblock-rpcs=guest-ping\n")
    for number, (options, expected) in enumerate([
            ([], {SYNC, "guest-info"}),
            (["-a", "guest-sync;guest-info;memory-get-map"],
             {SYNC, "guest-info", "memory-get-map", "guest-memory-get-map"}),
            (["-b", "memory-get-map"], {SYNC, "guest-info", "guest-ping"})]):
        daemon = start_memplugd(tmp_path / str(number), "-c", str(conf), *options)
        try:
            assert enabled(daemon) == expected
        finally:
            assert daemon.stop() == 0


def run(tmp_path, config, *options):
    """A start that is to end by itself: (status, stdout, stderr)."""
    (tmp_path / "conf").write_text(config)
    done = subprocess.run([str(BUILD / "memplugd"), "-c", str(tmp_path / "conf"), "-t",
                           str(tmp_path / "state"), "-m", "unix-listen", "-p", str(tmp_path / "sock"),
                           "--sysroot=%s" % make_tree(tmp_path / "tree"), *options],
                          text=True, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("options, config, name, expected", [
    (["-a", "guest-sync;guest-info;guest-pong"], "", "guest-pong", {SYNC, "guest-info"}),
    (["-b", "guest-ping,guest-get-time"], "", "guest-get-time", ALL - OPT_IN - {"guest-ping"}),
    (["-b", "guest-exec"], "", "guest-exec", ALL - OPT_IN),
    (["-b", "Guest-ping"], "", "Guest-ping", ALL - OPT_IN),
    (["-b", "help;guest-ping"], "", "help", ALL - OPT_IN - {"guest-ping"}),
    ([], "[protocol]\nblock-rpcs=guest-ping;nope\n", "nope", ALL - OPT_IN - {"guest-ping"}),
])
def test_an_unknown_name_is_ignored(tmp_path, options, config, name, expected):
    """A list may be qemu-ga's; the log says which name."""
    (tmp_path / "conf").write_text(config)
    daemon = start_memplugd(tmp_path / "mp", "-c", str(tmp_path / "conf"), *options)
    try:
        assert enabled(daemon) == expected
    finally:
        assert daemon.stop() == 0
    log = (tmp_path / "mp/log").read_text()
    assert log.count("there is no command") == log.count("there is no command '%s'" % name) == 1


def test_help_lists_the_commands(tmp_path):
    """-b help prints every command, says which are blocked, and ends with 0."""
    status, out, err = run(tmp_path, "[protocol]\nblock-rpcs=guest-ping\n", "-b", "help")
    assert (status, err) == (0, "")
    assert dict(line.partition(" ")[::2] for line in out.splitlines()) == {
        name: "(blocked)" if name in OPT_IN | {"guest-ping"} else "" for name in ALL}

"""memplugd in front of a real qemu-ga, which is killed, stopped, started again and made late; and of
a fake one that does what a broken one does."""
import base64
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import figures
from daemons import PATIENCE_S, QEMU_GAS, exchange, qemu_ga, start_memplugd

SOAK = bool(os.environ.get("SOAK"))
PING = b'{"execute":"guest-ping"}'
TIME = b'{"execute":"guest-get-time"}'


class QemuGa:
    """A qemu-ga on a socket, that can be killed and started again."""

    def __init__(self, folder, which="installed"):
        folder.mkdir()
        self.folder, self.path = folder, folder / "ga.sock"
        self.words = qemu_ga(which)
        self.process = None
        self.start()

    def start(self):
        """Returns when it listens."""
        if self.path.exists():
            self.path.unlink()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.words, "-m", "unix-listen", "-p", str(self.path), "-t", str(self.folder)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not self.path.exists():
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.01)

    def signal(self, number):
        """For SIGSTOP and SIGCONT."""
        self.process.send_signal(number)

    def kill(self):
        """It is gone when this returns."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def connect(self):
        """A client of its own, in the place of memplugd."""
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(PATIENCE_S)
        peer.connect(str(self.path))
        return peer


class FakeGa:
    """Greets as qemu-ga does; then the test says what it answers."""

    def __init__(self, folder):
        folder.mkdir()
        self.path = folder / "ga.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(4)
        self.listener.settimeout(PATIENCE_S)
        self.peer = self.lines = None

    def accept(self):
        """Takes the connection, and answers what memplugd asks first."""
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(PATIENCE_S)
        self.lines = self.peer.makefile("rb")
        hello = self.lines.readline()
        assert hello.startswith(b"\xff")
        self.say(b'\xff{"return": %d}\n' % json.loads(hello[1:])["arguments"]["id"])
        assert json.loads(self.lines.readline())["execute"] == "guest-info"
        self.say(b'{"return": {"version": "1", "supported_commands": []}}\n')

    def say(self, data):
        """Bytes for memplugd."""
        self.peer.sendall(data)

    def kill(self):
        """Closes everything."""
        for one in (self.lines, self.peer, self.listener):
            if one:
                one.close()


class Host:
    """One connection to memplugd."""

    def __init__(self, daemon):
        self.peer = daemon.connect()
        self.lines = self.peer.makefile("rb")

    def send(self, *requests):
        """All in one write."""
        self.peer.sendall(b"".join(requests))

    def line(self):
        """The next line as it came."""
        line = self.lines.readline()
        assert line.endswith(b"\n"), "closed after %r" % line
        return line

    def ask(self, *requests):
        """The reply to the last of them; each has one."""
        self.send(*requests)
        return [json.loads(self.line().lstrip(b"\xff")) for _ in requests][-1]

    def close(self):
        """Hangs up."""
        self.lines.close()
        self.peer.close()


@pytest.fixture(name="world")
def world_fixture(tmp_path):
    """(qemu-ga, memplugd in front of it)."""
    yield from make_world(QemuGa, tmp_path)


@pytest.fixture(name="fake_world")
def fake_world_fixture(tmp_path):
    """(a fake qemu-ga, memplugd)."""
    yield from make_world(FakeGa, tmp_path)


def make_world(kind, tmp_path):
    """For the two above."""
    agent = kind(tmp_path / "ga")
    (tmp_path / "conf").write_text("[channel]\nupstream=%s\n" % agent.path)
    daemon = start_memplugd(tmp_path / "mp", "-c", str(tmp_path / "conf"))
    try:
        yield agent, daemon
        assert daemon.stop() == 0
    finally:
        agent.kill()
        daemon.stop()


def test_both_answer(world):
    """Each command goes where it belongs, in order; guest-info tells of both."""
    agent, daemon = world
    host = Host(daemon)
    assert "return" in host.ask(b'{"execute":"guest-get-time"}')
    assert "return" in host.ask(b'{"execute":"memory-get-map"}')
    assert host.ask(b'{"execute":"guest-nope","id":{"a":[1]}}') == {
        "id": {"a": [1]}, "error": {"class": "CommandNotFound",
                                    "desc": "The command guest-nope has not been found"}}
    info = host.ask(b'{"execute":"guest-info"}')["return"]
    names = [command["name"] for command in info["supported_commands"]]
    with agent.connect() as waiting:  # qemu-ga has one client; this one waits
        agent.kill()
        agent.start()
        waiting.close()
    with agent.connect() as peer:
        theirs = json.loads(exchange(peer, [b'{"execute":"guest-info"}\n'], b"}}\n"))["return"]
    assert info["version"] == theirs["version"]
    assert len(names) == len(set(names))
    for command in theirs["supported_commands"]:
        assert names.count(command["name"]) == 1
        if not command["success-response"]:
            assert command in info["supported_commands"]
    assert "memory-get-map" in names and "guest-memory-get-map" in names


def test_killed_and_started_again(world):
    """Its commands fail with their id, ours do not notice, and the next one finds the new one."""
    agent, daemon = world
    host = Host(daemon)
    for round_number in range(3):
        assert "return" in host.ask(TIME)
        agent.kill()
        reply = host.ask(b'{"execute":"guest-get-time","id":%d}' % round_number)
        assert reply["id"] == round_number and reply["error"]["class"] == "GenericError"
        assert reply["error"]["desc"].startswith("qemu-ga ")
        assert host.ask(PING) == {"return": {}}
        agent.path.unlink()
        assert "cannot be reached" in host.ask(TIME)["error"]["desc"]
        agent.start()


def test_stopped(world):
    """A mute qemu-ga costs its own command an error; what it says late is dropped."""
    agent, daemon = world
    host = Host(daemon)
    assert "return" in host.ask(TIME)
    agent.signal(signal.SIGSTOP)
    assert host.ask(PING) == {"return": {}}
    host.send(b'{"execute":"guest-get-time","id":"lost"}', PING, b'{"execute":"guest-get-time","id":2}',
              b'{"execute":"memory-get-policy","id":3}')
    lost = json.loads(host.line())
    assert lost["id"] == "lost" and "has not answered" in lost["error"]["desc"]
    assert json.loads(host.line()) == {"return": {}}
    assert json.loads(host.line())["id"] == 2
    assert json.loads(host.line())["id"] == 3
    agent.signal(signal.SIGCONT)
    reply = host.ask(b'{"execute":"guest-get-time","id":4}')
    assert reply["id"] == 4 and "return" in reply
    assert host.ask(b'{"execute":"guest-ping","id":5}') == {"return": {}, "id": 5}


def test_alone_it_is_not_waited_for_for_ever(world):
    """Also where nothing of ours waits behind it."""
    agent, daemon = world
    host = Host(daemon)
    agent.signal(signal.SIGSTOP)
    reply = host.ask(b'{"execute":"guest-get-time","id":1}')
    assert reply["id"] == 1 and "has not answered" in reply["error"]["desc"]
    assert "guest-ping" in str(host.ask(b'{"execute":"guest-info"}'))
    agent.signal(signal.SIGCONT)
    assert "return" in host.ask(TIME)
    assert "guest-exec" in str(host.ask(b'{"execute":"guest-info"}'))


def test_sync_delimited_drops_what_is_late(world):
    """And our own commands are served behind it while qemu-ga is still stopped."""
    agent, daemon = world
    host = Host(daemon)
    assert "return" in host.ask(TIME)
    agent.signal(signal.SIGSTOP)
    host.send(b'{"execute":"guest-get-time","id":1}')
    host.send(b'{"execute":"guest-sync-delimited","arguments":{"id":77}}', PING)
    assert host.line() == b'\xff{"return": 77}\n'
    assert host.line() == b'{"return": {}}\n'
    assert "return" in host.ask(b'{"execute":"memory-get-policy"}')
    agent.signal(signal.SIGCONT)
    reply = host.ask(b'{"execute":"guest-get-time","id":2}')
    assert reply["id"] == 2 and "return" in reply


def test_a_reply_that_stays_away_holds_nobody_for_long(world):
    """Nobody waits for it any more, so there is a new connection, which qemu-ga answers when it can."""
    agent, daemon = world
    host = Host(daemon)
    assert "return" in host.ask(TIME)
    agent.signal(signal.SIGSTOP)
    host.send(TIME)
    host.send(b'{"execute":"guest-sync-delimited","arguments":{"id":77}}')
    assert host.line() == b'\xff{"return": 77}\n'
    reply = host.ask(b'{"execute":"guest-get-time","id":2}')
    assert reply["id"] == 2 and "has not answered for 4." in reply["error"]["desc"]
    agent.signal(signal.SIGCONT)
    assert "return" in host.ask(TIME)


def test_a_host_that_reads_nothing_holds_itself_only(world, tmp_path):
    """Its reply ends with an error; another host's command is answered."""
    _, daemon = world
    deaf, other = Host(daemon), Host(daemon)
    (tmp_path / "large").write_bytes(bytes(30 << 20))
    handle = other.ask(b'{"execute":"guest-file-open","arguments":{"path":"%s"}}'
                       % str(tmp_path / "large").encode())["return"]
    deaf.send(b'{"execute":"guest-file-read","arguments":{"handle":%d,"count":%d},"id":1}' % (handle, 30 << 20),
              PING)
    time.sleep(0.5)
    assert "return" in other.ask(TIME)
    assert len(deaf.line()) < 30 << 20
    reply = json.loads(deaf.line())
    assert reply["id"] == 1 and reply["error"]["desc"].startswith("qemu-ga is wanted by others")
    assert deaf.line() == b'{"return": {}}\n'
    assert "return" in deaf.ask(TIME)


def test_a_host_that_has_gone_leaves_nothing(world):
    """The next one sees its own replies only."""
    agent, daemon = world
    other = Host(daemon)
    assert "return" in other.ask(TIME)
    agent.signal(signal.SIGSTOP)
    for number in range(3):
        host = Host(daemon)
        host.send(b'{"execute":"guest-get-time","id":%d}' % number)
        assert other.ask(PING, PING) == {"return": {}}  # by now it is with qemu-ga
        host.close()
    host = Host(daemon)
    host.send(b'{"execute":"guest-get-time","id":9}')
    assert other.ask(PING, PING) == {"return": {}}
    agent.signal(signal.SIGCONT)
    assert json.loads(host.line())["id"] == 9


def test_mute_in_the_middle_of_a_line(fake_world):
    """Half a reply reaches nobody; its rest, or the end of the connection, neither."""
    agent, daemon = fake_world
    host = Host(daemon)
    host.send(b'{"execute":"guest-x","id":1}', PING)
    agent.accept()
    assert json.loads(agent.lines.readline()) == {"execute": "guest-x", "id": 1}
    agent.say(b'{"return": {"half": ')
    reply = json.loads(host.line())
    assert reply["id"] == 1 and "has not answered" in reply["error"]["desc"]
    assert host.line() == b'{"return": {}}\n'
    agent.say(b'"late"}}\n')
    host.send(b'{"execute":"guest-y"}', PING)
    assert b"guest-y" in agent.lines.readline()
    agent.say(b'{"return": ')
    agent.peer.shutdown(socket.SHUT_RDWR)
    assert "closed the connection" in json.loads(host.line())["error"]["desc"]
    assert host.line() == b'{"return": {}}\n'


def test_what_nobody_asked_for_is_dropped(fake_world):
    """Lines between requests, and two for one."""
    agent, daemon = fake_world
    host = Host(daemon)
    host.send(b'{"execute":"guest-x"}')
    agent.accept()
    agent.lines.readline()
    agent.say(b'one\ntwo\n\n\xff\x00three\n')
    assert host.line() == b"one\n"
    assert host.ask(PING) == {"return": {}}
    host.send(b'{"execute":"guest-y"}')
    agent.lines.readline()
    agent.say(b"four\n")
    assert host.line() == b"four\n"


def test_flood(fake_world):
    """A qemu-ga that does not stop talking makes nobody wait."""
    agent, daemon = fake_world
    host = Host(daemon)
    host.send(b'{"execute":"guest-x"}')
    agent.accept()
    agent.lines.readline()
    agent.say(b"x\n")
    assert host.line() == b"x\n"
    stop = threading.Event()

    def flood():
        while not stop.is_set():
            agent.say(b"noise\n" * 10000)

    thread = threading.Thread(target=flood)
    thread.start()
    for _ in range(100):
        assert host.ask(PING) == {"return": {}}
    stop.set()
    thread.join()


def test_large_reply_and_request(world, tmp_path):
    """48 MiB are read through memplugd, and 12 MiB written, byte for byte, in little memory."""
    _, daemon = world
    host = Host(daemon)
    content = random.Random(1).randbytes(36 << 20)
    (tmp_path / "large").write_bytes(content)
    handle = host.ask(b'{"execute":"guest-file-open","arguments":{"path":"%s"}}'
                      % str(tmp_path / "large").encode())["return"]
    reply = host.ask(b'{"execute":"guest-file-read","arguments":{"handle":%d,"count":%d},"id":"all"}'
                     % (handle, len(content)))
    assert reply["id"] == "all" and reply["return"]["count"] == len(content)
    assert base64.b64decode(reply["return"]["buf-b64"]) == content
    handle = host.ask(b'{"execute":"guest-file-open","arguments":{"mode":"w","path":"%s"}}'
                      % str(tmp_path / "copy").encode())["return"]
    text = base64.b64encode(content[:9 << 20])
    for number in range(2):
        reply = host.ask(b'{"execute":"guest-file-write","arguments":{"handle":%d,"buf-b64":"%s"},"id":%d}'
                         % (handle, text, number), PING)
        assert reply == {"return": {}}
    host.ask(b'{"execute":"guest-file-close","arguments":{"handle":%d}}' % handle)
    assert (tmp_path / "copy").read_bytes() == content[:9 << 20] * 2
    status = Path("/proc/%d/status" % daemon.process.pid).read_text()
    assert os.environ.get("MEMPLUG_BUILD", "").endswith("sanitize") or int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) < 16384, status


def test_lists_bind_relayed_commands_too(tmp_path):
    """block-rpcs may name qemu-ga's commands."""
    agent = QemuGa(tmp_path / "ga")
    (tmp_path / "conf").write_text(
        "[channel]\nupstream=%s\n[protocol]\nblock-rpcs=guest-exec;guest-ping\n" % agent.path)
    daemon = start_memplugd(tmp_path / "mp", "-c", str(tmp_path / "conf"))
    try:
        host = Host(daemon)
        for name in (b"guest-exec", b"guest-ping"):
            assert host.ask(b'{"execute":"%s","id":1}' % name) == {
                "id": 1, "error": {"class": "CommandNotFound",
                                   "desc": "Command %s has been disabled: the command is not allowed" % name.decode()}}
        assert "return" in host.ask(TIME)
        # Wherever the name stands in a request that is passed on in parts.
        large = b'{"arguments":{"a":"%s"},' % (b"a" * (1200 << 10))
        tokens = b'{"arguments":{"a":[%s]},' % b",".join([b"1"] * 40000)
        for request in (large + b'"execute":"guest-exec"}', tokens + b'"exec\\u0075te":"guest-exec"}',
                        large + b'"id":"%s"}' % (b"a" * (1200 << 10))):
            assert host.ask(request)["error"]["class"] == "CommandNotFound"
            assert "return" in host.ask(TIME)
        # Where qemu-ga sees a request in the middle of another one, this side sees it too.
        host.send(b'{"execute":"guest-get-time","arguments":{"a":[0E1,{"execute":"guest-exec"}]}}\n',
                  b'{"execute":"guest-get-time","id":"end"}')
        said = [json.loads(host.line())]
        while said[-1].get("id") != "end":
            said.append(json.loads(host.line()))
        assert all("error" in reply for reply in said[:-1]) and "return" in said[-1]
        assert "Command guest-exec has been disabled: the command is not allowed" in str(said)
        listed = host.ask(b'{"execute":"guest-info"}')["return"]["supported_commands"]
        assert {"guest-exec", "guest-ping", "memory-set-policy", "guest-memory-set-policy"} <= {
            command["name"] for command in listed if not command["enabled"]}
    finally:
        agent.kill()
        assert daemon.stop() == 0
    assert "there is no command" not in (tmp_path / "mp/log").read_text()


# Commands whose figures differ from one moment to the next: digits are left out of the comparison.
VARYING = {"guest-get-time", "guest-exec", "guest-get-diskstats", "guest-get-cpustats",
           "guest-get-fsinfo", "guest-network-get-interfaces", "guest-get-users", "guest-get-load"}
WRONG = ["5", "null", "[]", '"x"', '{"no-such":1}']


def exchanges(path):
    """(command, text of the arguments or None) of qemu-ga's, which leave this machine as it is; errors
    included. {pid} stands for what guest-exec returned last."""
    reads = ["guest-get-time", "guest-get-osinfo", "guest-get-timezone", "guest-get-host-name",
             "guest-get-vcpus", "guest-get-users", "guest-get-fsinfo", "guest-get-disks",
             "guest-get-diskstats", "guest-get-cpustats", "guest-network-get-interfaces",
             "guest-fsfreeze-status", "guest-get-devices", "guest-get-load", "guest-no-such-command"]
    for name in reads:
        yield name, None
        yield name, "{}"
        for wrong in WRONG:
            yield name, wrong
    for name, arguments in [
            ("guest-set-time", '{"time":"x"}'), ("guest-set-user-password", "{}"),
            ("guest-set-user-password", '{"username":1,"password":"","crypted":false}'),
            ("guest-set-vcpus", "{}"), ("guest-set-vcpus", '{"vcpus":[{"logical-id":-1}]}'),
            ("guest-fstrim", '{"minimum":"x"}'), ("guest-fsfreeze-freeze-list", '{"mountpoints":3}'),
            ("guest-shutdown", '{"mode":5}'), ("guest-suspend-disk", '{"x":1}'),
            ("guest-ssh-get-authorized-keys", '{"username":"no such user"}'),
            ("guest-exec", "{}"), ("guest-exec", '{"path":"/no/such/program"}'),
            ("guest-exec-status", '{"pid":0}'), ("guest-exec-status", '{"pid":"x"}'),
            ("guest-file-open", "{}"), ("guest-file-open", '{"path":"/no/such/file"}'),
            ("guest-file-open", '{"path":"%s","mode":"nonsense"}' % path),
            ("guest-file-open", '{"path":"%s","mode":"w+"}' % path),
            ("guest-file-write", '{"handle":1000,"buf-b64":"SGVsbG8sIHdvcmxkCg=="}'),
            ("guest-file-write", '{"handle":1000,"buf-b64":"####"}'),
            ("guest-file-write", '{"handle":1000,"buf-b64":"QUJD","count":99}'),
            ("guest-file-flush", '{"handle":1000}'),
            ("guest-file-seek", '{"handle":1000,"offset":0,"whence":"set"}'),
            ("guest-file-seek", '{"handle":1000,"offset":0,"whence":"sideways"}'),
            ("guest-file-read", '{"handle":1000}'), ("guest-file-read", '{"handle":1000,"count":5}'),
            ("guest-file-read", '{"handle":1000,"count":-1}'),
            ("guest-file-read", '{"handle":1000,"count":"many"}'),
            ("guest-file-close", '{"handle":1000}'), ("guest-file-close", '{"handle":1000}'),
            ("guest-file-read", '{"handle":1000}'),
            ("guest-exec", '{"path":"/bin/echo","arg":["a b","\\u00e9","\\\\"],"capture-output":true}'),
            ("guest-exec-status", '{"pid":{pid}}'), ("guest-exec-status", '{"pid":{pid}}'),
            ("guest-exec", '{"path":"/bin/cat","input-data":"eHl6","capture-output":true}'),
            ("guest-exec-status", '{"pid":{pid}}')]:
        yield name, arguments


IDS = ["", "7", '"text \\u00e9"', "null", '{"a": [1, {}]}', "1.50"]


def replies(peer, path):
    """(what was sent, what came) for each exchange on this connection."""
    lines, pid, seen = peer.makefile("rb"), 0, []
    for number, (name, arguments) in enumerate(exchanges(path)):
        one_id = IDS[number % len(IDS)]
        text = '{"execute": "%s"%s%s}' % (
            name, "" if arguments is None else ', "arguments": ' + arguments.replace("{pid}", str(pid)),
            one_id and ', "id": ' + one_id)
        for _ in range(100):
            peer.sendall(text.encode())
            line = lines.readline()
            if name != "guest-exec-status" or b'"exited": false' not in line:
                break
            time.sleep(0.05)
        if name == "guest-exec" and b'"pid"' in line:
            pid = json.loads(line)["return"]["pid"]
        seen.append((text.replace(str(pid), "PID"),
                     re.sub(rb"\d+", b"N", line) if name in VARYING else line))
    return seen


@pytest.mark.parametrize("which", QEMU_GAS)
def test_the_same_bytes_as_from_qemu_ga_alone(which, tmp_path):
    """Each command of it that can be asked here, with right and wrong arguments and ids of all kinds."""
    alone, behind = (QemuGa(tmp_path / name, which) for name in ("alone", "behind"))
    (tmp_path / "conf").write_text("[channel]\nupstream=%s\n" % behind.path)
    daemon = start_memplugd(tmp_path / "mp", "-c", str(tmp_path / "conf"))
    try:
        with alone.connect() as peer:
            theirs = replies(peer, tmp_path / "file")
        with daemon.connect() as peer:
            ours = replies(peer, tmp_path / "file")
        assert daemon.stop() == 0
    finally:
        alone.kill()
        behind.kill()
        daemon.stop()
    assert len(theirs) >= 120 and sum(b'"return"' in line for _, line in theirs) > 30
    assert [(want, got) for want, got in zip(theirs, ours) if want != got] == []


def switches(daemon):
    """How often it has been switched to, and who else it has started."""
    folder = Path("/proc/%d/task" % daemon.process.pid)
    return {task.name: re.findall(r"ctxt_switches:\s+(\d+)", (task / "status").read_text())
            for task in folder.iterdir()}


@pytest.mark.parametrize("state", ["answered", "qemu-ga is gone", "qemu-ga does not answer"])
def test_silence_costs_nothing(world, state):
    """Not one context switch, with a host and with qemu-ga connected, also where it has not answered."""
    agent, daemon = world
    host = Host(daemon)
    assert "return" in host.ask(TIME)
    if state == "qemu-ga is gone":
        agent.kill()
        host.ask(TIME)
    elif state == "qemu-ga does not answer":
        agent.signal(signal.SIGSTOP)
        host.ask(TIME, PING)
    time.sleep(1)
    before = switches(daemon)
    time.sleep(60 if SOAK else 2)
    assert switches(daemon) == before
    call = Path("/proc/%d/syscall" % daemon.process.pid).read_text().split()
    if call[0] == "7":  # poll() of x86-64: it waits for ever
        assert int(call[3], 16) & 0xffffffff == 0xffffffff, call
    agent.signal(signal.SIGCONT)


class Trouble(threading.Thread):
    """Kills, stops and restarts qemu-ga at random until told to end."""

    def __init__(self, agent, seed):
        super().__init__()
        self.agent, self.random, self.ends = agent, random.Random(seed), threading.Event()
        self.kills = self.stops = 0

    def run(self):
        while not self.ends.wait(self.random.uniform(0.002, 0.05)):
            if self.random.random() < 0.5:
                self.stops += 1
                self.agent.signal(signal.SIGSTOP)
                self.ends.wait(self.random.uniform(0, 0.1))
                self.agent.signal(signal.SIGCONT)
            else:
                self.kills += 1
                self.agent.kill()
                self.ends.wait(self.random.uniform(0, 0.02))
                self.agent.start()


# What each of them answers, where qemu-ga is there.
KINDS = {"guest-ping": lambda told: told == {}, "guest-get-time": lambda told: told > 1 << 60,
         "memory-get-policy": lambda told: "policy" in told, "guest-memory-get-policy": lambda told: "policy" in told,
         "guest-get-vcpus": lambda told: "logical-id" in told[0], "guest-get-timezone": lambda told: "offset" in told,
         "guest-nope": lambda told: False}


class Asker(threading.Thread):
    """Hosts that come, send many requests to both agents at once, read all replies or some, and go."""

    def __init__(self, daemon, trouble, name, count):
        super().__init__()
        self.asked, self.trouble, self.name, self.count = daemon, trouble, name, count
        self.random = random.Random(name)
        self.sent = self.answered = self.failed = self.hosts = 0
        self.wrong = None

    def run(self):
        try:
            while self.sent < self.count or self.trouble.kills < 5:
                self.be_a_host()
        except Exception as problem:  # the test's own thread says it
            self.wrong = problem

    def be_a_host(self):
        host = Host(self.asked)
        self.hosts += 1
        names = self.random.choices(list(KINDS), k=self.random.randrange(1, 400))
        host.send(*[b'{"execute":"%s","id":["%s",%d]}' % (name.encode(), self.name.encode(), self.sent + at)
                    for at, name in enumerate(names)])
        is_patient = self.random.random() < 0.5
        for at in range(len(names) if is_patient else self.random.randrange(len(names))):
            reply = json.loads(host.line())
            assert reply["id"] == [self.name, self.sent + at], reply
            self.answered += 1
            self.take(names[at], reply)
        if is_patient:
            assert host.ask(PING) == {"return": {}}  # and nothing before it
        host.close()
        self.sent += len(names)

    def take(self, name, reply):
        if "return" in reply:
            assert KINDS[name](reply["return"]), (name, reply)
        elif name == "guest-nope" and reply["error"]["class"] == "CommandNotFound":
            pass
        else:
            assert name.startswith("guest-") and "ping" not in name and "memory" not in name, (name, reply)
            assert reply["error"]["desc"].startswith("qemu-ga "), reply
            self.failed += 1


def test_mixed_requests_in_trouble(world):
    """Each reply comes once, in its turn, to its own host, and is of its command, whatever happens to
    qemu-ga."""
    agent, daemon = world
    trouble = Trouble(agent, 8)
    askers = [Asker(daemon, trouble, "host %d" % number, 34000 if SOAK else 1500) for number in range(3)]
    start = time.monotonic()
    for thread in [trouble, *askers]:
        thread.start()
    try:
        for thread in askers:
            thread.join()
    finally:
        trouble.ends.set()
        trouble.join()
    assert [asker.wrong for asker in askers] == [None] * 3
    assert "return" in Host(daemon).ask(TIME)
    told = {name: sum(getattr(asker, name) for asker in askers) for name in ("sent", "answered", "failed", "hosts")}
    figures.record("relayed requests in trouble", **told, kills=trouble.kills, stops=trouble.stops,
                   seconds=round(time.monotonic() - start))
    assert told["answered"] > told["sent"] // 2 and trouble.kills > 0 and told["failed"] > 0

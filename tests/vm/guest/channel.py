#!/usr/bin/python3
"""The host's end of the memplug channel, and of a qemu-ga channel too.

    channel.py SOCKET COMMAND ['{"argument": …}']

As a module:

    with Channel("agent.sock") as channel:
        channel.call("memory-get-status")
"""
import json
import random
import socket
import sys
import time

# A guest may be hostile or broken: neither its lines nor its silence are unbounded.
MAX_LINE_BYTES = 64 << 20
PATIENCE_S = 60


class QgaError(Exception):
    """The agent answered with an error."""

    def __init__(self, error):
        super().__init__("%s: %s" % (error.get("class"), error.get("desc")))
        self.error_class = error.get("class")
        self.desc = error.get("desc")


class ChannelTimeout(AssertionError):
    """The agent said nothing (or nothing whole) in time."""


class Channel:
    """One connection. Opening it synchronises, so that an old reply cannot answer a new request.

    Lines with an "event" are put aside in `events`, as libvirt and qemu.qmp do.
    """

    def __init__(self, path, timeout=PATIENCE_S, sync=True):
        self.events = []
        self._timeout = timeout
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        if sync:
            self.synchronise()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._socket.close()

    def synchronise(self):
        """guest-sync-delimited, asked again where an agent that is just starting lost it."""
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            number = random.getrandbits(31)
            self.send_raw(b"\xff" + _request("guest-sync-delimited", {"id": number}))
            if self._sees_sync(number, min(time.monotonic() + 5, deadline)):
                return
        raise ChannelTimeout("no answer to guest-sync-delimited in %d s" % self._timeout)

    def call(self, command, **arguments):
        """Sends one command and returns its "return"; raises QgaError. `_` means `-` in names."""
        self.send(command, **arguments)
        return self.receive()

    def send(self, command, **arguments):
        """Sends one command and does not wait; `receive` takes the replies in order."""
        self.send_raw(_request(command, {key.replace("_", "-"): value
                                         for key, value in arguments.items()}))

    def receive(self):
        """The next reply's "return"; raises QgaError where it is an error."""
        reply = self.receive_message()
        if "error" in reply:
            raise QgaError(reply["error"])
        return reply["return"]

    def receive_message(self):
        """The next reply as it came; events go to `events`."""
        while True:
            message = json.loads(self.receive_line())
            if "event" not in message:
                return message
            self.events.append(message)

    def receive_event(self):
        """Waits for one more event, where no reply is due; it goes to `events`."""
        message = json.loads(self.receive_line())
        assert "event" in message, message
        self.events.append(message)

    def send_raw(self, data):
        self._socket.settimeout(self._timeout)
        self._socket.sendall(data)

    def receive_line(self, deadline=None):
        """One line as bytes, without its newline and without a leading 0xFF."""
        deadline = deadline or time.monotonic() + self._timeout
        while b"\n" not in self._buffer:
            self._fill(deadline)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rpartition(b"\xff")[2]

    def _sees_sync(self, number, deadline):
        try:
            while True:
                try:
                    if json.loads(self.receive_line(deadline)).get("return") == number:
                        return True
                except ValueError:
                    pass  # the rest of an older reply
        except ChannelTimeout:
            return False

    def _fill(self, deadline):
        if len(self._buffer) > MAX_LINE_BYTES:
            raise ChannelTimeout("the agent sent %d bytes without a newline" % len(self._buffer))
        left = deadline - time.monotonic()
        if left <= 0:
            raise ChannelTimeout("no reply in time; so far: %r" % self._buffer[-200:])
        self._socket.settimeout(left)
        try:
            data = self._socket.recv(1 << 16)
        except socket.timeout:
            return  # the next round raises
        if not data:
            raise ConnectionError("the channel was closed")
        self._buffer += data


def _request(command, arguments):
    request = {"execute": command}
    if arguments:
        request["arguments"] = arguments
    return json.dumps(request).encode() + b"\n"


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    arguments = json.loads(sys.argv[3]) if len(sys.argv) == 4 else {}
    with Channel(sys.argv[1]) as channel:
        try:
            print(json.dumps(channel.call(sys.argv[2], **arguments), indent=2))
        except QgaError as problem:
            sys.exit("refused: %s" % problem)


if __name__ == "__main__":
    main()

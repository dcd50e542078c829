"""A QMP client that loses no event."""
import json
import socket
import threading
import time

from .waiting import PATIENCE_S, WaitedInVain


class QmpError(Exception):
    """QEMU refused a command."""

    def __init__(self, error):
        super().__init__("%s: %s" % (error.get("class"), error.get("desc")))
        self.error_class = error.get("class")
        self.desc = error.get("desc")


class Qmp:
    """One QMP connection; a thread reads it, so that events are there when asked for.

    `events` is every event since the connection began, in order.
    """

    def __init__(self, path):
        self.events = []
        self._replies = []
        self._gone = False
        self._changed = threading.Condition()
        self._one_command = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._stream = self._socket.makefile("r", encoding="utf-8")
        self._stream.readline()  # the greeting
        threading.Thread(target=self._read, daemon=True).start()
        self.command("qmp_capabilities")

    def command(self, name, /, **arguments):
        """Returns what QEMU returns; raises QmpError. `_` in an argument's name means `-`."""
        request = {"execute": name}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value
                                    for key, value in arguments.items()}
        with self._one_command:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            reply = self._wait(lambda: self._replies.pop(0) if self._replies else None,
                               "the reply to " + name, PATIENCE_S)
        if "error" in reply:
            raise QmpError(reply["error"])
        return reply["return"]

    def mark(self):
        """A place in the list of events, for `since`."""
        with self._changed:
            return len(self.events)

    def find_event(self, name, match=None, since=0):
        """The first event of that name from `since` on whose data contain `match`, or None."""
        with self._changed:
            return self._find(name, match or {}, since)

    def wait_event(self, name, match=None, since=0, timeout=PATIENCE_S):
        """Like find_event, but waits for it."""
        return self._wait(lambda: self._find(name, match or {}, since),
                          "the event %s %s" % (name, match or ""), timeout)

    def close(self):
        # Only shutdown wakes a thread that sleeps in readline.
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def _find(self, name, match, since):
        for event in self.events[since:]:
            if event["event"] == name and _contains(event.get("data", {}), match):
                return event
        return None

    def _wait(self, look, what, timeout):
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = look()
                if found:
                    return found
                if self._gone:
                    raise WaitedInVain("QEMU went away before %s" % what)
                if not self._changed.wait(deadline - time.monotonic()):
                    raise WaitedInVain("waited %d s for %s" % (timeout, what))

    def _read(self):
        try:
            for line in self._stream:
                message = json.loads(line)
                with self._changed:
                    (self.events if "event" in message else self._replies).append(message)
                    self._changed.notify_all()
        except (OSError, ValueError):
            pass  # closed under us
        with self._changed:
            self._gone = True
            self._changed.notify_all()


def _contains(data, match):
    """True where every entry of `match` is in `data`, nested dictionaries likewise."""
    return all(key in data and (_contains(data[key], value) if isinstance(value, dict)
                                else data[key] == value)
               for key, value in match.items())

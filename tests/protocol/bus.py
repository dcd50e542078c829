"""A peer on the D-Bus of a test's daemon, by the library that memplugd itself uses."""
import contextlib
import ctypes
import os
import time

from daemon import PATIENCE_S

OTHER_UID = 65534
NAME, PATH = b"org.memplug.Agent1", b"/org/memplug/Agent1"


class Error(ctypes.Structure):
    """sd_bus_error."""
    _fields_ = [("name", ctypes.c_char_p), ("message", ctypes.c_char_p), ("free", ctypes.c_int)]


class Peer:
    """A connection; as an ordinary user where `other` and we are root."""

    def __init__(self, daemon, other=False):
        self._lib = ctypes.CDLL("libsystemd.so.0")
        self._lib.sd_bus_message_get_member.restype = ctypes.c_char_p
        self._bus = ctypes.c_void_p()
        self._do("sd_bus_new", ctypes.byref(self._bus))
        self._do("sd_bus_set_address", self._bus,
                 daemon.environment["DBUS_SYSTEM_BUS_ADDRESS"].encode())
        self._do("sd_bus_set_bus_client", self._bus, 1)
        with contextlib.ExitStack() as stack:
            if other and os.geteuid() == 0:  # the socket's credentials are those at connect(2)
                os.seteuid(OTHER_UID)
                stack.callback(os.seteuid, 0)
            self._do("sd_bus_start", self._bus)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lib.sd_bus_flush_close_unref(self._bus)

    def _do(self, name, *arguments):
        result = getattr(self._lib, name)(*arguments)
        assert result >= 0, "%s: %s" % (name, os.strerror(-result))
        return result

    def call(self, method, **strings):
        """Calls a method with strings as arguments; returns the error's name, or None."""
        message, error = ctypes.c_void_p(), Error()
        self._do("sd_bus_message_new_method_call", self._bus, ctypes.byref(message), NAME, PATH,
                 NAME, method.encode())
        self._do("sd_bus_message_open_container", message, ctypes.c_char(b"a"), b"{sv}")
        for name, text in strings.items():
            self._do("sd_bus_message_append", message, b"{sv}", name.encode(), b"s", text.encode())
        self._do("sd_bus_message_close_container", message)
        status = self._lib.sd_bus_call(self._bus, message, ctypes.c_uint64(PATIENCE_S * 1000000),
                                       ctypes.byref(error), None)
        self._lib.sd_bus_message_unref(message)
        return error.name.decode() if status < 0 else None

    def inhibit(self, who, why, mode):
        """Inhibit(): the lock as a descriptor of ours, or the error's name."""
        error, reply, fd = Error(), ctypes.c_void_p(), ctypes.c_int()
        status = self._lib.sd_bus_call_method(
            self._bus, NAME, PATH, NAME, b"Inhibit", ctypes.byref(error), ctypes.byref(reply),
            b"sss", who.encode(), why.encode(), mode.encode())
        if status < 0:
            return error.name.decode()
        self._do("sd_bus_message_read", reply, b"h", ctypes.byref(fd))
        lock = os.dup(fd.value)
        self._lib.sd_bus_message_unref(reply)
        return lock

    def inhibitors(self):
        """The property Inhibitors, as tuples."""
        reply, found = ctypes.c_void_p(), []
        self._do("sd_bus_get_property", self._bus, NAME, PATH, NAME, b"Inhibitors", None,
                 ctypes.byref(reply), b"a(sssuu)")
        self._do("sd_bus_message_enter_container", reply, ctypes.c_char(b"a"), b"(sssuu)")
        texts, numbers = [ctypes.c_char_p() for _ in range(3)], [ctypes.c_uint() for _ in range(2)]
        while self._do("sd_bus_message_read", reply, b"(sssuu)",
                       *map(ctypes.byref, texts + numbers)):
            found.append(tuple([text.value.decode() for text in texts] +
                               [number.value for number in numbers]))
        self._lib.sd_bus_message_unref(reply)
        return found

    def number(self, name):
        """The value of a property of type t."""
        value = ctypes.c_uint64()
        self._do("sd_bus_get_property_trivial", self._bus, NAME, PATH, NAME, name.encode(), None,
                 ctypes.c_char(b"t"), ctypes.byref(value))
        return value.value

    def text(self, name):
        """The value of a property of type s."""
        value = ctypes.c_char_p()
        self._do("sd_bus_get_property_string", self._bus, NAME, PATH, NAME, name.encode(), None,
                 ctypes.byref(value))
        return value.value.decode()

    def listen(self):
        """From here on signals of the daemon are received."""
        self._do("sd_bus_add_match", self._bus, None, b"type='signal',sender='%s'" % NAME, None,
                 None)

    def signal(self, member, signature=None):
        """Waits for a signal with this name, and returns its values: booleans and numbers."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            message = ctypes.c_void_p()
            if self._do("sd_bus_process", self._bus, ctypes.byref(message)) == 0:
                self._do("sd_bus_wait", self._bus, ctypes.c_uint64(1000000))
            elif message:
                found = self._lib.sd_bus_message_get_member(message) == member.encode()
                values = [{"b": ctypes.c_int, "t": ctypes.c_uint64}[kind]()
                          for kind in (signature or "")]
                if found and signature:
                    self._do("sd_bus_message_read", message, signature.encode(),
                             *map(ctypes.byref, values))
                self._lib.sd_bus_message_unref(message)
                if found:
                    return [value.value for value in values]
        raise AssertionError("waited in vain for the signal " + member)

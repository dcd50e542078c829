"""A QEMU guest for memory hot-plug tests: QMP, root shells, and the agent's channel."""
from .channel import Channel, QgaError
from .initramfs import Archive
from .machine import Guest, GuestDied
from .memory import GIB, MIB
from .waiting import WaitedInVain, wait_until

__all__ = ["Archive", "Channel", "GIB", "Guest", "GuestDied", "MIB", "QgaError", "WaitedInVain",
           "wait_until"]

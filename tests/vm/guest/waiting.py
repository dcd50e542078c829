"""Waiting for a condition. No test measures time; a limit only ends a hopeless wait.

Machines that run these tests are slow and noisy and the guest is emulated, so
limits are many times what a good day needs.
"""
import time

PATIENCE_S = 120


class WaitedInVain(AssertionError):
    """A condition did not become true; the message says which and what was seen last."""


def wait_until(predicate, what, timeout=PATIENCE_S, pause=0.05):
    """Calls `predicate` until it returns something true, and returns that.

    An exception that it raises is not caught: a broken guest must not look slow.
    """
    deadline = time.monotonic() + timeout
    while True:
        seen = predicate()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise WaitedInVain("waited %d s for %s; last seen: %r" % (timeout, what, seen))
        time.sleep(pause)

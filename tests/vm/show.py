"""Text for a person: headlines, bars, a map of blocks. Colour on a terminal only."""
import os
import sys

COLOURS = {"bold": "1", "green": "32", "yellow": "33", "red": "31", "blue": "34", "dim": "2"}
BAR_CELLS = 40


def size(size_bytes):
    """1073741824 -> "1.00 GiB"."""
    return "%.2f GiB" % (size_bytes / (1 << 30)) if size_bytes >= 1 << 30 else (
        "%d MiB" % (size_bytes >> 20))


class Show:
    """Prints to one stream. Steps count themselves."""

    def __init__(self, steps, stream=sys.stdout):
        self._stream = stream
        self._steps = steps
        self._step = 0
        self._live = stream.isatty()
        self._coloured = self._live and not os.environ.get("NO_COLOR")
        self._bar_open = False
        self._last_bar = None

    def step(self, headline):
        self._step += 1
        self._write("\n" + self.paint("bold", "[%d/%d] %s" % (self._step, self._steps, headline)))

    def line(self, text=""):
        self._write("  " + text)

    def paint(self, colour, text):
        coloured = self._coloured and text
        return "\033[%sm%s\033[0m" % (COLOURS[colour], text) if coloured else text

    def good(self, text):
        self.line(self.paint("green", text))

    def bad(self, text):
        self.line(self.paint("red", text))

    def memory(self, movable, kernel, offline, available):
        """One bar of a guest's memory: a cell is 64 MiB."""
        cell = 64 << 20
        bar = (self.paint("blue", "K" * round(kernel / cell))
               + self.paint("green", "M" * round(movable / cell))
               + self.paint("dim", "." * round(offline / cell)))
        self.line(bar)
        self.line("kernel zones %s, movable %s, offline %s; available %s"
                  % (size(kernel), size(movable), size(offline), size(available)))

    def progress(self, done, total, label):
        """A bar that fills in place on a terminal; elsewhere a line whenever it has moved."""
        if not self._live and (done, label) == self._last_bar:
            return
        self._last_bar = (done, label)
        filled = BAR_CELLS * done // max(total, 1)
        text = "  [%s%s] %d/%d %s" % ("#" * filled, "-" * (BAR_CELLS - filled), done, total, label)
        if self._live:
            self._stream.write("\r\033[K" + text)
            self._stream.flush()
            self._bar_open = True
        else:
            self._write(text)

    def _write(self, text):
        if self._bar_open:
            self._stream.write("\n")
            self._bar_open = False
        self._stream.write(text + "\n")
        self._stream.flush()

"""Figures that a test measured, for the people who read them; no test depends on one.

They go to build/figures.txt (below MEMPLUG_BUILD, where that is set), one line a figure.
"""
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def record(test, **figures):
    """Adds one line: the test's name and `name=value` pairs."""
    build = ROOT / os.environ.get("MEMPLUG_BUILD", "build")
    build.mkdir(exist_ok=True)
    with open(build / "figures.txt", "a", encoding="utf-8") as file:
        file.write("%s: %s\n" % (test, ", ".join("%s %s" % (name.replace("_", " "), value)
                                                 for name, value in figures.items())))

"""A pytest plugin that prints TAP as tests end, for `prove`.

A skipped test counts as failed: a missing prerequisite must not look green. So does a file
that cannot be collected, and one without tests has no plan, which prove takes for a failure.
"""
import pytest


class Tap:
    """Writes one line a test, and for a failure what pytest would have printed, as `#` lines."""

    def __init__(self, capture):
        self._capture = capture
        self._count = 0
        self._failed = set()

    def pytest_collection_finish(self, session):
        if session.items:
            self._print("1..%d" % len(session.items))

    def pytest_collectreport(self, report):
        if report.failed:
            self._print("1..1")
            self._diagnose(report)
            self._print("not ok 1 - %s cannot be collected" % report.nodeid)

    def pytest_runtest_logreport(self, report):
        # A test has three reports (setup, call, teardown); it is good when all of them are.
        if not report.passed:
            self._diagnose(report)
            self._failed.add(report.nodeid)
        if report.when == "teardown":
            self._count += 1
            verdict = "not ok" if report.nodeid in self._failed else "ok"
            self._print("%s %d - %s" % (verdict, self._count, report.nodeid.split("::", 1)[-1]))

    def _diagnose(self, report):
        # The failure comes last: whoever shows a part of a log shows its end.
        text = ["%s\n%s" % section for section in report.sections]
        text += [report.longreprtext or str(report.longrepr)]
        for line in "\n".join(text).splitlines():
            self._print("# " + line)

    def _print(self, line):
        # What tests print is captured, so that only TAP reaches prove.
        with self._capture.global_and_fixture_disabled():
            print(line, flush=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    """Takes the place of pytest's own report."""
    config.pluginmanager.unregister(name="terminalreporter")
    config.pluginmanager.register(Tap(config.pluginmanager.getplugin("capturemanager")))

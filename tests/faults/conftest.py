"""What the fault checks share: how much of them runs, and the count of what was injected.

The real S3 server, the buckets and what runs the binary are those of ../engines.
"""

import random
import signal
from collections import Counter

import pytest

import served
from buckets import bucket, gateway  # noqa: F401, fixtures of all the checks

# ended from outside, the checks end what they started
signal.signal(signal.SIGTERM, signal.default_int_handler)

INJECTED = Counter()


def pytest_addoption(parser):
    parser.addoption("--whole", action="store_true", help="all of it, as RELIABILITY.md counts it, not the bounded part")
    parser.addoption("--fault-seed", type=int, default=1, help="where the random moments come from")


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("faults injected, with nothing lost")
    for name, times in sorted(INJECTED.items()):
        terminalreporter.write_line(f"{times:6} {name}")
    terminalreporter.write_line(f"{sum(INJECTED.values()):6} in all")


@pytest.fixture
def often(request):
    """How often: the bounded number, or with --whole the other."""
    return lambda bounded, whole: whole if request.config.getoption("--whole") else bounded


@pytest.fixture
def draw(request):
    """The same random moments for the same check and seed."""
    return random.Random(f"{request.config.getoption('--fault-seed')} {request.node.name}")


@pytest.fixture
def injected():
    """Counts faults that were injected and survived, by name."""

    def count(name, times=1):
        INJECTED[name] += times

    return count


class Served:
    """What the simulator serves for each seed, asked once a day."""

    def __init__(self):
        self._simulators, self._rows = {}, {}

    def rows(self, seed, day):
        if (seed, day) not in self._rows:
            if seed not in self._simulators:
                self._simulators[seed] = served.Simulator("--sim-seed", seed)
            self._rows[seed, day] = self._simulators[seed].rows(day)
        return self._rows[seed, day]

    def forget(self):
        for simulator in self._simulators.values():
            simulator.__exit__()
        self._simulators.clear()


@pytest.fixture(scope="module")
def api():
    api = Served()
    yield api
    api.forget()

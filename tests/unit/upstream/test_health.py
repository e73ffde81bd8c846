"""Health as the log tells it: a line when a circuit opens, one when it closes, none a call."""

import pytest

from tierwise.routing import Failure
from tierwise.upstream import Health


def test_the_log_tells_of_a_circuit_once(caplog: pytest.LogCaptureFixture) -> None:
    health = Health()
    for _ in range(9):
        health.failed("p/m", Failure("reply", 503))
    [opened] = caplog.messages
    assert opened == "p/m is left alone for 5 s: 5 of 5 calls failed, last: status 503"
    health.answered("p/m", 1, 2)
    health.answered("p/m", 1, 2)
    assert caplog.messages == [opened, "p/m answers again"]

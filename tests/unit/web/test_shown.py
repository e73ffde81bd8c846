"""How figures are shown."""

from __future__ import annotations

import pytest

from tierwise.web.shown import coded, duration, exact, per_million, points, short, usd


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (None, "–"),
        (0, "$0.00"),
        (12_340_000_000_000, "$12.34"),
        (52_500_000_000, "$0.0525"),
        (425_000_000, "$0.000425"),
        (7, "$0.000000000007"),
        (-1_050_000_000_000, "-$1.05"),
        (10**30, "$1,000,000,000,000,000,000.00"),
    ],
)
def test_usd(pico: int | None, text: str) -> None:
    assert usd(pico) == text


def test_exact_hides_nothing() -> None:
    assert exact(1_000_000_000_001) == "$1.000000000001"
    assert exact(525_000_000_000) == "$0.525"
    assert exact(3 * 10**12) == "$3.00"
    assert exact(None) == "–"


def test_units() -> None:
    assert per_million(250_000) == "$0.25"
    assert per_million(None) == "unknown"
    assert [duration(us) for us in (None, 850, 9500, 12_000, 1_250_000, 125_000_000)] == [
        "–", "850 µs", "9.5 ms", "12 ms", "1.25 s", "2 min 5 s",
    ]  # fmt: skip
    assert short(1234) == "1,234"
    assert short(5_600_000) == "5.6M"
    assert points(-0.012) == "−1.2"


def test_code_marks_do_not_open_a_way_for_markup() -> None:
    assert str(coded("run `a <b>` <i>")) == "run <code>a &lt;b&gt;</code> &lt;i&gt;"
    assert str(coded("one ` <x>")) == "one  &lt;x&gt;"

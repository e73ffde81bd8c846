"""Amounts as they are written and shown: exact, of any size that money has, and refused at once beyond."""

from __future__ import annotations

import pytest

from tierwise.money import NotMoney, usd_per_million_to_pico, usd_text, usd_to_pico


@pytest.mark.parametrize("text", ["1e900000", "-1e900000", "1e400", "1e16"])
def test_an_amount_beyond_all_money_is_refused_before_its_digits_are_reckoned(text: str) -> None:
    # The number of the first has 900,012 digits, which take twenty seconds.
    with pytest.raises(NotMoney, match="is more than an amount in USD can be"):
        usd_to_pico(text)
    with pytest.raises(NotMoney):
        usd_per_million_to_pico(f"{text}0000000")


def test_amounts_up_to_there_are_exact() -> None:
    assert usd_to_pico("9.999999999999e15") == 9_999_999_999_999 * 10**15
    assert usd_to_pico("0.000000000001") == 1
    for wrong in ("1e-13", "1e-900000", "nan", "inf", "-inf", "x", ""):
        with pytest.raises(NotMoney):
            usd_to_pico(wrong)


@pytest.mark.parametrize(
    ("pico", "places", "text"),
    [
        (525 * 10**9, 6, "$0.525000"),
        (-1_234_567_890_123_456, 2, "-$1,234.57"),
        (5 * 10**9, 2, "$0.00"),  # half to even
        (15 * 10**9, 2, "$0.02"),
        (-1, 6, "$0.000000"),
        (1, 12, "$0.000000000001"),
        (2_500_000_000_000, 0, "$2"),
        (10**45 + 10**10, 2, "$1,000,000,000,000,000,000,000,000,000,000,000.01"),
    ],
)
def test_an_amount_is_shown_rounded_whatever_its_size(pico: int, places: int, text: str) -> None:
    assert usd_text(pico, places) == text

"""Exact money: integer pico-dollars, 10^-12 USD. $1 per million tokens is 10^6 pico per token. No floats
anywhere."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

PICO_PER_USD = 10**12
MILLION = 10**6
_MOST_DIGITS = 28


class NotMoney(ValueError):
    """What was given is no exact amount; the message says how to write it. Callers say where it stood."""


def usd_to_pico(usd: str | int | Decimal) -> int:
    """Dollars as text, whole number or Decimal → pico-dollars. Raises NotMoney if it is no finite amount,
    finer than a pico-dollar or above 10^16 dollars."""
    return _exact(usd, Decimal(PICO_PER_USD), "an amount in USD")


def usd_per_million_to_pico(usd: str | int | Decimal) -> int:
    """Dollars per million tokens → pico-dollars per token. Raises NotMoney if it is not a whole number
    of those."""
    return _exact(usd, Decimal(PICO_PER_USD // MILLION), "a price in USD per million tokens")


def pico_to_usd(pico: int) -> Decimal:
    """Pico-dollars → exact Decimal dollars."""
    return Decimal(pico).scaleb(-12)


def usd_text(pico: int, places: int = 6) -> str:
    """`$0.525000` for people: rounded half-even to `places` decimals, for display only."""
    amount = round(Fraction(abs(pico), 10 ** (12 - places)))
    whole, part = divmod(amount, 10**places)
    return f"{'-' if pico < 0 < amount else ''}${whole:,}" + (f".{part:0{places}}" if places else "")


def exact_usd(pico: int) -> str:
    """`$0.525`, `$3.00`, `$0.50575`: all decimals there are, at least two."""
    usd = pico_to_usd(abs(pico)).normalize()
    places = max(2, -int(usd.as_tuple().exponent))
    return f"{'-' if pico < 0 else ''}${usd:,.{places}f}"


def _said(usd: str | int | Decimal) -> str:
    return repr(usd) if isinstance(usd, str) else f"{usd:f}" if isinstance(usd, Decimal) else str(usd)


def _exact(usd: str | int | Decimal, scale: Decimal, what: str) -> int:
    try:
        scaled = Decimal(usd) * scale
    except (ArithmeticError, TypeError, ValueError):
        raise NotMoney(f"{usd!r} is not {what}. Write it as a decimal number such as 1.25.") from None
    if scaled.is_finite() and scaled.adjusted() >= _MOST_DIGITS:
        raise NotMoney(f"{usd} is more than {what} can be. Write it as a decimal number such as 1.25.")
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise NotMoney(
            f"{_said(usd)} is not {what} that whole pico-dollars can hold. "
            "Use at most 12 decimals of a dollar (6 for a price per million tokens)."
        )
    return int(scaled)

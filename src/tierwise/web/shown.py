"""How figures are shown to people: the templates' filters. Undefined is a dash, never 0."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup, escape

from tierwise.money import MILLION, pico_to_usd, usd_text

DASH = "–"


def usd(pico: int | None) -> str:
    """Dollars with as many decimals as small amounts need: $12.34, $0.0525, $0.000425. Rounded."""
    if pico is None:
        return DASH
    amount = abs(pico)
    if amount == 0:
        return "$0.00"
    places = 2 if amount >= 10**12 else 4 if amount >= 10**10 else 6 if amount >= 10**6 else 12
    return usd_text(pico, places)


def exact(pico: int | None) -> str:
    """All decimals there are, at least two: for titles and arithmetic."""
    if pico is None:
        return DASH
    value = pico_to_usd(abs(pico)).normalize()
    places = max(2, -int(value.as_tuple().exponent))
    return f"{'-' if pico < 0 else ''}${value:,.{places}f}"


def per_million(pico: int | None) -> str:
    """A price in USD per million tokens."""
    if pico is None:
        return "unknown"
    value = (Decimal(pico) / MILLION).normalize()
    return f"${value:,.{max(2, -int(value.as_tuple().exponent))}f}"


def count(number: int | None) -> str:
    """1,234,567."""
    return DASH if number is None else f"{number:,}"


def short(number: int | None) -> str:
    """1,234 as 1.2k, for where room is scarce."""
    if number is None:
        return DASH
    for bound, suffix in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if abs(number) >= bound:
            scale = 1000 if suffix == "k" else bound
            return f"{number / scale:.3g}{suffix}"
    return f"{number:,}"


def share(part: float | None, places: int = 1) -> str:
    """0.123 as 12.3 %."""
    return DASH if part is None else f"{part * 100:.{places}f} %"


def points(part: float | None) -> str:
    """A difference of rates in points, signed with a true minus."""
    if part is None:
        return DASH
    return f"{part * 100:+.1f}".replace("-", "−")


def duration(us: float | None) -> str:
    """Microseconds as 850 µs, 12 ms, 1.25 s, 2 min 5 s."""
    if us is None:
        return DASH
    if us < 1000:
        return f"{us:.0f} µs"
    if us < 10_000:
        return f"{us / 1000:.1f} ms"
    if us < 1_000_000:
        return f"{us / 1000:.0f} ms"
    if us < 120_000_000:
        return f"{us / 1e6:.2f} s"
    return f"{int(us // 60_000_000)} min {int(us / 1e6 % 60)} s"


def when(at_us: int | None) -> str:
    """2026-11-22 15:26:10, UTC."""
    if at_us is None:
        return DASH
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso(at_us: int | None) -> str:
    """For <time datetime>."""
    if at_us is None:
        return ""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cut(text: str, most: int = 60) -> str:
    """Text shortened in the middle of nowhere, with an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def coded(text: str) -> Markup:
    """Text whose `words` are shown as code. Everything in it is escaped."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 and number < len(parts) - 1 else escape(part)
        for number, part in enumerate(parts)
    )


def filters() -> dict[str, Any]:
    """By the names templates use."""
    return {
        "usd": usd, "exact": exact, "per_million": per_million, "count": count, "short": short,
        "share": share, "points": points, "duration": duration, "when": when, "iso": iso, "cut": cut,
        "coded": coded,
    }  # fmt: skip

"""Faults of a call in the laboratory: which mean "slower", which are final, what to do, how long to wait."""

from __future__ import annotations

from ...errors import UpstreamError, UpstreamRefused, UpstreamStatus, UpstreamTimeout

LONGEST_WAIT_S = 60.0
OURS = (401, 402, 403, 404)
"""Statuses that the caller has to mend: nothing is gained by asking on."""


def congested(error: UpstreamError) -> bool | None:
    """Whether an error means "slower"; None: it says nothing of that."""
    if isinstance(error, UpstreamStatus):
        return True if error.status in (408, 429, 529) or error.status >= 500 else None
    return isinstance(error, UpstreamTimeout | UpstreamRefused) or None


def hopeless(error: UpstreamError) -> bool:
    """Whether nobody at this address can be asked."""
    return isinstance(error, UpstreamStatus) and error.status in OURS


def final(error: UpstreamError) -> bool:
    """Whether asking again cannot help."""
    return hopeless(error) or (isinstance(error, UpstreamStatus) and error.retry == "never")


def remedy(error: UpstreamError) -> str:
    """What to do about a hopeless error; "" where nothing is known."""
    return {
        401: "Check the key.",
        402: "The account has no funds, or a budget is used up.",
        403: "The key may not use this model.",
        404: "Check the model's name and the base URL.",
    }.get(error.status, "")


def wait_s(error: UpstreamError, attempt: int, backoff_s: float, drawn: float) -> float:
    """Seconds before the next attempt: doubling from `backoff_s`, spread by `drawn` in 0..1, and never less
    than the provider says.
    """
    told = error.retry_after_s if isinstance(error, UpstreamStatus) else None
    wait: float = backoff_s * 2.0**attempt * (0.5 + drawn)
    return min(max(wait, told or 0.0), LONGEST_WAIT_S)

"""What a call may cost, before it is made: the amount a budget reserves."""

from __future__ import annotations

from fractions import Fraction

from ..nouns import Outline, Price
from .cost import step_at

# Without the model's own tokenizer: bytes / 3.5 was within −2…+28 % of the truth on the texts measured,
# Chinese included.
_TENTHS_OF_BYTES_PER_TOKEN = 35
TOKENS_PER_MEDIA = 1600
"""Tokens reckoned for an image or document: what a large image costs on most vendors' scales."""
OUTPUT_TOKENS_UNSAID = 4096
"""Answer tokens reckoned where neither the request, the task nor the model's abilities bound them."""


def estimate_tokens(size: int) -> int:
    """Tokens in a text of `size` bytes of UTF-8, by ⌈bytes / 3.5⌉. An estimate: mark what rests on it as
    one.
    """
    return -(-size * 10 // _TENTHS_OF_BYTES_PER_TOKEN)


def cautious_size(text: str) -> int:
    """Bytes of a text for `estimate_tokens` where too few would pass a limit: those of characters beyond
    ASCII count more, a token for each 1.5 of them. Some tokenizers write Chinese in 1.3 tokens a character
    and more, others in half of that.
    """
    size = len(text.encode(errors="surrogatepass"))
    plain = len(text.encode("ascii", "ignore"))
    return plain + -(-(size - plain) * 7 // 3)


def output_bound(outline: Outline, default_output: int | None, max_output: int | None) -> int:
    """Answer tokens at most: as asked, else the task's default, else the model's limit, else 4,096; times
    the choices.
    """
    asked = outline.max_output if outline.max_output is not None else default_output
    tokens = asked if asked is not None else max_output if max_output is not None else OUTPUT_TOKENS_UNSAID
    if max_output is not None:
        tokens = min(tokens, max_output)
    return max(tokens, 0) * max(outline.choices, 1)


def upper_bound(prompt_tokens: int, output_tokens: int, price: Price | None, outline: Outline) -> int:
    """Pico-dollars a call of so many tokens costs at most at `price`; 0 when it cannot be priced.

    All prompt tokens are reckoned as fresh, or as the dearest kind of cache write when the request marks a
    prefix to be cached, or the vendor writes unasked. A service tier that is dearer than the standard one
    counts, a cheaper one does not.
    """
    if price is None:
        return 0
    rates = step_at(price, prompt_tokens)
    fresh = rates.input or 0
    if outline.cache_marks or writes_unasked(price):
        fresh = max(fresh, rates.cache_write_5m or 0, rates.cache_write_1h or 0)
    pico = prompt_tokens * fresh + output_tokens * (rates.output or 0)
    ratio = _dearest(price, outline.service_tier.lower()) if outline.service_tier else Fraction(1)
    return -(-pico * ratio.numerator // ratio.denominator)


def _dearest(price: Price, tier: str) -> Fraction:
    """What a call in `tier` costs at most of the price; some kinds of tokens have a ratio of their own."""
    ratios = (ratio for key, ratio in price.service_tiers.items() if key.partition("/")[0] == tier)
    return max((Fraction(1), *(Fraction(*ratio) for ratio in ratios)))


def writes_unasked(price: Price) -> bool:
    """Whether prompts may be written to the cache without a mark, at a price of its own: OpenAI's are. It has
    one lifetime where Anthropic has two."""
    return price.cache_write_5m is not None and price.cache_write_1h is None


def batch_share(pico: int, price: Price | None) -> int:
    """What is left of an amount at `price` where a provider's own batch is used, rounded up; all of it where
    no batch price is known.
    """
    if price is None or price.batch is None:
        return pico
    part, whole = price.batch
    return -(-pico * part // whole)

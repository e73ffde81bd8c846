from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.clock import now_us
from tierwise.config import model_at
from tierwise.costing import PricedModel
from tierwise.gateway.errand import ERRANDS
from tierwise.nouns import Provider, Usage

IMAGES, EMBEDDINGS = ERRANDS["/images/generations"], ERRANDS["/embeddings"]


def cost(model: str, usage: Usage) -> Any:
    return PricedModel(model_at(Provider("openai", "openai_chat", "http://127.0.0.1:1"), model)).cost(
        usage, now_us()
    )


def test_pictures_are_priced_by_their_tokens_and_never_as_text() -> None:
    counts = {
        "input_tokens": 60, "output_tokens": 1056, "total_tokens": 1116,
        "input_tokens_details": {"text_tokens": 50, "image_tokens": 10},
    }  # fmt: skip
    usage = IMAGES.usage(json.dumps({"data": [{}], "usage": counts}).encode())
    assert usage == Usage(50, extra={"output_image": 1056, "input_image": 10})
    # gpt-image-1: $5 of text, $10 of pictures in, $40 of pictures out.
    assert cost("gpt-image-1", usage).pico == 50 * 5_000_000 + 10 * 10_000_000 + 1056 * 40_000_000
    # gpt-image-1.5 has a price of its own for them, and says how many of its tokens are words.
    counts["output_tokens_details"] = {"image_tokens": 1000, "text_tokens": 56}
    usage = IMAGES.usage(json.dumps({"data": [{}], "usage": counts}).encode())
    assert usage == Usage(50, output=56, extra={"output_image": 1000, "input_image": 10})
    expected = 50 * 5_000_000 + 10 * 8_000_000 + 56 * 10_000_000 + 1000 * 32_000_000
    assert cost("gpt-image-1.5", usage).pico == expected


def test_pictures_without_counts_are_counted_themselves_and_unpriced_without_a_price_for_them() -> None:
    usage = IMAGES.usage(b'{"created": 1, "data": [{"url": "a"}, {"url": "b"}]}')
    assert usage == Usage(extra={"image": 2})
    assert cost("gpt-image-1", usage).pico is None
    assert "image" in cost("gpt-image-1", usage).unpriced
    assert IMAGES.usage(b'{"error": {}}') is None
    assert IMAGES.usage(b"no json") is None


@pytest.mark.parametrize(
    ("model", "pico"), [("text-embedding-3-small", 20_000), ("text-embedding-3-large", 130_000)]
)
def test_embeddings_have_input_alone(model: str, pico: int) -> None:
    usage = EMBEDDINGS.usage(b'{"data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}')
    assert usage == Usage(8)
    assert cost(model, usage).pico == 8 * pico


def test_what_a_budget_reserves_for_pictures_bounds_them() -> None:
    outline = IMAGES.outline(b'{"model": "openai/gpt-image-1", "prompt": "a tree", "n": 3}')
    model = PricedModel(model_at(Provider("openai", "openai_chat", "http://127.0.0.1:1"), "gpt-image-1"))
    bound = model.upper_bound(10, outline, now_us())
    assert bound >= 3 * 6208 * 40_000_000
    assert EMBEDDINGS.outline(b'{"model": "m", "input": "x"}').max_output == 0

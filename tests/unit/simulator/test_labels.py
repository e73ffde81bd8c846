"""Which labels a prompt offers, and which is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.errors import ConfigError
from tierwise.simulator.labels import SUPPORT, Truth, enumerated, load, offered, right_label


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Classify the support ticket into: Billing, Technical, Account, or General.", SUPPORT),
        ("Labels: a, b, c", ("a", "b", "c")),
        ("Pick a label.\nCategories:\n- card_arrival\n- lost card\n\nText: x", ("card_arrival", "lost card")),
        ('Answer with one of the labels: ["yes", "no"]', ("yes", "no")),
        ("Reply with exactly one of: positive, negative or neutral.", ("positive", "negative", "neutral")),
        ("You classify support tickets. rule rule", SUPPORT),
        ("Tell me about cats, dogs and birds.", ()),
        ("Labels: one", ()),
    ],
)
def test_offered(text: str, labels: tuple[str, ...]) -> None:
    assert offered(text) == labels


def test_enumerated_takes_the_first_string_enumeration() -> None:
    schema = {"properties": {"n": {"enum": [1, 2]}, "kind": {"enum": ["a", "b"]}}}
    assert enumerated(schema) == ("a", "b")
    assert enumerated({"properties": {"x": {"type": "string"}}}) == ()
    assert enumerated(None) == ()


@pytest.mark.parametrize(
    ("ticket", "label"),
    [
        ("I was charged twice for my subscription this month.", "Billing"),
        ("Refund please", "Billing"),
        ("The app shows an error and crashes", "Technical"),
        ("I forgot my password", "Account"),
        ("What are your opening hours?", "General"),
    ],
)
def test_support_tickets_by_keyword(ticket: str, label: str) -> None:
    assert right_label(ticket, SUPPORT, None, 0) == label


def test_known_texts_are_found_whole_by_line_and_after_a_colon() -> None:
    truth = Truth([("my card is lost", "lost_card", "")])
    for question in ("my card is lost", "Query:\nmy card is lost\nLabel:", 'Text: "my card is lost"'):
        known = truth.find(question)
        assert known is not None
        assert right_label(question, ("Lost card", "other"), known, 0) == "Lost card"
    assert truth.find("my card is lost again") is None


def test_what_no_rule_decides_is_still_the_same_for_every_model() -> None:
    labels = ("alpha", "beta", "gamma")
    assert right_label("text", labels, None, 3) == right_label("text", labels, None, 3)
    assert right_label("this is beta", labels, None, 3) == "beta"
    assert len({right_label(f"text {i}", labels, None, 3) for i in range(50)}) == 3


def test_load_reads_a_csv_and_names_what_is_missing(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("text,category,task\nhello,greeting,qa\n")
    bad.write_text("words,label\nhello,greeting\n")
    good.write_bytes(b"\xef\xbb\xbf" + good.read_bytes())  # as spreadsheets write it
    known = load(good).find("hello")
    assert known is not None
    assert (known.answer, known.task) == ("greeting", "qa")
    with pytest.raises(ConfigError, match="text and category"):
        load(bad)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.csv")

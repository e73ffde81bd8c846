"""The registry, and the scorers of plain text: (target, answer) → score, None for unscored."""

from __future__ import annotations

import random

import pytest

from tierwise.errors import SuiteError
from tierwise.judging import patterns
from tierwise.judging.scorers import scorer
from tierwise.nouns import Case


def value(name: str, target: object, answer: str, **options: object) -> float | None:
    return scorer(name, options)(Case("1", "?", target=target), answer).value


@pytest.mark.parametrize(
    ("name", "target", "answer", "expected"),
    [
        ("exact", "Paris", " Paris\n", 1),
        ("exact", "Paris", "paris", 0),
        ("exact", ["Paris", "Lutetia"], "Lutetia", 1),
        ("exact", 7, "7", 1),
        ("exact", True, "true", 1),
        ("exact", None, "x", None),
        ("exact", [], "x", None),
        ("normalised", "Paris", "**PARIS.**", 1),
        ("normalised", "3.5", "35", 0),
        ("normalised", "-4", "4", 0),
        ("normalised", "straße", "STRASSE", 1),
        ("normalised", "new  york", "New York!", 1),
        ("contains", "cat", "The Cat sat.", 1),
        ("contains", "cat", "concatenate", 0),
        ("contains", ["cat", "mat"], "the cat on the mat", 1),
        ("contains", ["cat", "dog"], "the cat on the mat", 0),
        ("contains", "", "anything", None),
        ("contains", "C++", "I like C++.", 1),
        ("contains", "5", "it is 5.5", 0),
        ("contains", "5", "it is -5", 0),
        ("contains", "5", "5,000", 0),
        ("contains", "5", "(5).", 1),
        ("contains", "4", "GPT-4", 1),
        ("contains", "東京", "私は東京に住む", 1),
        ("normalised", ".5", "5", 0),
        ("normalised", ".5", "**.5**", 1),
        ("normalised", "5", "... 5", 1),
        ("normalised", "!", "?", 0),
        ("normalised", "?", "", 0),
        ("normalised", "-4", "−4", 1),
        ("normalised", "東京", "「東京」。", 1),
        ("token_f1", "the quick fox", "the quick brown fox", 6 / 7),
        ("token_f1", "a a b", "a b b", 2 / 3),
        ("token_f1", "yes", "", 0),
        ("token_f1", ["no", "yes sir"], "yes sir", 1),
        ("token_f1", "", "x", None),
        ("token_f1", "東京タワー", "東京・タワーです", 10 / 12),
        ("token_f1", "我有3,5个苹果", "苹果", 0.5),
        ("token_f1", "서울특별시", "서울", 4 / 7),
        ("token_f1", "GPT模型", "gpt 模型", 1),
        ("rouge_l", "police killed the gunman", "police kill the gunman", 0.75),
        ("rouge_l", "police killed the gunman", "the gunman kill police", 0.5),
        ("rouge_l", "a", "", 0),
        ("rouge_l", "我喜欢吃苹果。", "我喜欢吃香蕉。", 4 / 6),
        ("normalised", "مرحبا", "مرحبا؟", 1),
        ("normalised", "नमस्ते", "नमस्ते।", 1),
        ("normalised", "東京", "『東京』", 1),
        ("normalised", "Hallo", "„Hallo“", 1),
    ],
)
def test_text(name, target, answer, expected):
    found = value(name, target, answer)
    assert found == (None if expected is None else pytest.approx(expected))


def test_contains_inside_words_when_asked():
    assert value("contains", "cat", "concatenate", words=False) == 1


LABELS = ["Billing", "Technical", "General", "General inquiry"]


@pytest.mark.parametrize(
    ("target", "answer", "expected"),
    [
        ("Billing", "It is **Billing**.", 1),
        ("Billing", "billing", 1),
        ("Billing", "Billing or Technical", 0),
        ("Billing", "Technical", 0),
        ("Billing", "I cannot say", 0),
        ("General", "General inquiry", 0),
        ("General inquiry", "General inquiry", 1),
        ("Sales", "Billing", None),
    ],
)
def test_one_of(target, answer, expected):
    assert value("one_of", target, answer, labels=LABELS) == expected


def test_one_of_several_targets():
    assert value("one_of", ["Billing", "Technical"], "It is technical.", labels=LABELS) == 1
    assert value("one_of", ["Billing", "Technical"], "Billing, Technical", labels=LABELS) == 0
    assert value("one_of", ["Billing", "Technical"], "General", labels=LABELS) == 0
    assert value("one_of", ["Billing", "Sales"], "Billing", labels=LABELS) is None
    assert value("one_of", [], "Billing", labels=LABELS) is None


@pytest.mark.parametrize("name", ["normalised", "contains", "token_f1", "agreement"])
def test_marks_that_models_write_are_those_of_a_keyboard(name):
    assert value(name, "Can't top-up", "Can\u2019t top\u2011up") == 1
    assert value(name, 'the "new" card', "the \u201cnew\u201d card") == 1
    assert value(name, "card arrival", "\ufeffcard\u202farrival\u200b") == 1


def test_numbers_with_thin_spaces_and_marks_that_models_write():
    assert value("numeric", 1250, "It is 1\u202f250.") == 1
    assert value("numeric", 1250000, "1\u2009250\u2009000") == 1
    assert value("numeric", 1250, "1 250") == 1
    assert value("numeric", 250, "rows 1 250") is None
    assert value("numeric", -5, "It is \u20115.") == 1
    assert value("numeric", 5, "It is \u20115.") == 0
    assert value("numeric", 4, "GPT\u20114") == 1


def test_labels_of_scripts_without_spaces_are_found():
    assert value("one_of", "請求", "これは請求です", labels=["請求", "技術"]) == 1
    assert value("one_of", "請求", "請求か技術です", labels=["請求", "技術"]) == 0


@pytest.mark.parametrize(
    ("target", "answer", "options", "expected"),
    [
        (1250, "so it is $1,250.00.", {}, 1),
        ("1,250", "1250", {}, 1),
        (5, "3 + 2 = 5", {}, 1),
        (5, "3 + 2 = 5", {"pick": "first"}, 0),
        (5, "3 + 2 = 5", {"pick": "only"}, 0),
        (5, "5, yes 5.0", {"pick": "only"}, 1),
        (-4, "the answer is −4", {}, 1),
        (4, "GPT-4", {}, 1),
        (0.3, "0.1 more than 0.31", {"tolerance": 0.01}, 1),
        (0.3, "0.3100001", {"tolerance": 0.01}, 0),
        (100, "104", {"relative": 0.05}, 1),
        (100, "106", {"relative": 0.05}, 0),
        (1e-7, "1e-7", {}, 1),
        ("12%", "12 %", {}, 1),
        (5, "no idea", {}, 0),
        (5, "1e999999999", {}, 0),
        (5, "", {}, 0),
        ("five", "5", {}, None),
        (True, "1", {}, None),
        ("nan", "nan", {}, None),
        (None, "5", {}, None),
    ],
)
def test_numeric(target, answer, options, expected):
    assert value("numeric", target, answer, **options) == expected


@pytest.mark.parametrize(
    ("target", "answer", "expected"),
    [
        (1_000_000, "1 000 000", 1),
        (1_000_000, "1.000.000", 1),
        ("1.000.000,50", "1,000,000.5", 1),
        (100_000, "1,00,000", 1),
        (1_234_567, "1'234'567", 1),
        (12_000, "12{,}000", 1),
        (12.5, "12,5", 1),
        ("12,5", "12.5", 1),
        (0.5, "1/2", 1),
        (0.5, r"\frac{1}{2}", 1),
        (2.5, "2\u00bd", 1),
        (1.5, "1 1/2 cups", 1),
        (0.5, "50 %", 1),
        (50, "50 %", 1),
        ("50%", "0.5", 1),
        ("50%", "0.5 %", 0),
        (1_200_000, "$1.2M", 1),
        (1.2, "1.2 million", 1),
        (1_500_000, "1.5 \u00d7 10\u2076", 1),
        (1_500_000, r"1.5 \times 10^{6}", 1),
        (6, "1.5 x 10^6", 0),
        (10, "10\u00b2", 0),
        (2, "5 m\u00b2", 0),
        (123.5, "\uff11\uff12\uff13\uff0e\uff15", 1),
        (12.5, "\u0661\u0662\u066b\u0665", 1),
        (-5, "-$5.00", 1),
        (5, "-$5.00", 0),
        (12, "\u2248 12", 1),
        (12, "12 \u00b1 3", 1),
        (3, "12 \u00b1 3", 0),
        (3, "1.2.3", 0),
        (7, "2024-05-07", 1),
        (3, "1,2,3", 1),
        (5, "**5**", 1),
        # What can be read in two ways is never taken for an answer, nor for a wrong one.
        (5, "12,5", None),
        (125, "12,5", 0),
        (15, "12-15", None),
        (15, "12\u201315", None),
        (13, "12-15", 0),
        (2, "1/2", None),
        (1250, "1.250", None),
        (1.25, "1.250", 1),
        (1.25, "1,250", None),
        ("12-15", "15", None),
        (5, "1," * 9000 + "5", 1),
        (5, "100 " * 4999 + "5", 1),
    ],
)
def test_numbers_as_people_and_models_write_them(target, answer, expected):
    assert value("numeric", target, answer) == expected


@pytest.mark.parametrize(
    ("target", "answer", "options", "expected"),
    [
        ("", "INV-0042", {"pattern": r"INV-\d{4}"}, 1),
        ("", "inv-0042", {"pattern": r"INV-\d{4}"}, 0),
        ("", "inv-0042", {"pattern": r"INV-\d{4}", "ignore_case": True}, 1),
        ("C", "Answer: C", {"pattern": r"Answer: ([A-J])", "group": 1}, 1),
        ("B", "Answer: C", {"pattern": r"Answer: ([A-J])", "group": 1}, 0),
        (r"^\d+$", "12", {}, 1),
        (None, "12", {}, None),
        ("", "x" * 20_001, {"pattern": "x"}, None),
    ],
)
def test_regex(target, answer, options, expected):
    assert value("regex", target, answer, **options) == expected


def test_a_pattern_that_does_not_end_leaves_the_answer_unscored(monkeypatch):
    monkeypatch.setattr(patterns, "PATIENCE_S", 0.01)
    assert value("regex", None, "a" * 80 + "b", pattern="(a|aa)+$") is None


def test_rouge_l_against_the_plain_recurrence():
    draw = random.Random(4)
    for _ in range(60):
        first, second = ([draw.choice("abcd") for _ in range(draw.randint(1, 15))] for _ in "12")
        table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
        for i, x in enumerate(first):
            for j, y in enumerate(second):
                table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
        expected = 2 * table[-1][-1] / (len(first) + len(second))
        assert value("rouge_l", " ".join(first), " ".join(second)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("exat", {}, "exact"),
        ("nonsense", {}, "Known:"),
        ("numeric", {"tolerence": 1}, "tolerance"),
        ("exact", {"x": 1}, "takes none"),
        ("one_of", {}, "labels"),
        ("one_of", {"labels": ["a"]}, "two or more"),
        ("one_of", {"labels": "ab"}, "two or more"),
        ("json_fields", {"fields": "name"}, "Give a list"),
        ("one_of", {"labels": 5}, "do not fit"),
        ("numeric", {"tolerance": -1}, "negative"),
        ("numeric", {"tolerance": "x"}, "do not fit"),
        ("numeric", {"pick": "middle"}, "last, first"),
        ("regex", {"pattern": "a", "group": 1}, "no group"),
    ],
)
def test_wrong_names_and_options_say_what_to_do(name, options, words):
    with pytest.raises(SuiteError) as error:
        scorer(name, options)
    assert words in error.value.sentence()


def test_a_hyphen_may_be_written():
    assert scorer("token-f1")(Case("1", "?", target="a"), "a").value == 1

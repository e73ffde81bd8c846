"""Whatever is compared with whatever: a score in range, or the reason why there is none."""

from __future__ import annotations

from tierwise.judging.scorers import SCORERS, scorer
from tierwise.nouns import Case


def test_every_score_is_in_range_or_says_why_not():
    answers = ["", "{}", "[]", "5", "yes", "\x00", "٣", "{" * 5000, "[" * 5000, "ﷺ" * 50]
    targets = [None, "", "yes", 5, {"a": 1}, [], ["yes"], {"name": "f", "arguments": {}}, float("inf")]
    options = {"one_of": {"labels": ["yes", "no"]}, "regex": {"pattern": "y"}, "json_schema": {"schema": {}}}
    for name in SCORERS:
        judge = scorer(name, options.get(name))
        for target in targets:
            for answer in answers:
                score = judge(Case("1", "?", target=target), answer)
                assert score.why if score.value is None else 0 <= score.value <= 1

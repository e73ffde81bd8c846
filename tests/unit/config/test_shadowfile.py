"""Which alarm of shadow.json is told of a rule."""

from __future__ import annotations

from pathlib import Path

from tierwise.config.shadowfile import shadow_by_task, write_shadow
from tierwise.judging.alarm import Record, Watch
from tierwise.nouns import Rule


def alarm(since: str, served: str, verdict: str, contradicted: str = "") -> Record:
    watch = Watch("qa", served, "opus", served, verdict=verdict)
    return Record(watch, since, scores={"1": 3}, contradicted=contradicted)


def test_an_alarm_is_told_of_the_verdict_it_tests_and_of_no_later_one(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    unmeasured = alarm("2026-11-01", "haiku", "")
    first = alarm("2026-11-02", "haiku", "v1", "2026-11-03")
    after = alarm("2026-11-03", "sonnet", "v1")
    write_shadow(path, [after, first, unmeasured])
    for rule, told in (
        (Rule("qa", ("haiku", "opus")), unmeasured),
        (Rule("qa", ("opus",)), None),
        (Rule("qa", ("sonnet", "opus"), "contradicted", verdict="v1"), after),
        (Rule("qa", ("opus",), "contradicted", verdict="v1"), first),
        (Rule("qa", ("haiku", "opus"), "measured", verdict="v2"), None),
        (Rule("qa", ("opus",), "measured", verdict="v2"), None),
        (Rule("other", ("haiku",)), None),
    ):
        assert shadow_by_task(path, {rule.task: rule}).get("qa") == told

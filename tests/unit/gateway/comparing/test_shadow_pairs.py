"""Which shadow calls make a pair, so that the alarm's guarantee holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.errors import UpstreamStatus
from tierwise.gateway.comparing.shadow import drawn
from unit.gateway.comparing.test_shadow import CONFIG, World


def test_the_sample_is_drawn_by_the_exchanges_id() -> None:
    ids = [f"ex_{n:032x}" for n in range(4000)]
    picked = {each for each in ids if drawn(each, 0.2)}
    assert picked == {each for each in ids if drawn(each, 0.2)}
    assert 700 < len(picked) < 900
    assert picked <= {each for each in ids if drawn(each, 0.3)}
    assert not any(drawn(each, 0.0) for each in ids)
    assert all(drawn(each, 1.0) for each in ids)


async def test_a_request_that_is_sent_again_and_again_is_compared_once_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten disagreements of one question are one: else a client that tries again would contradict a rule."""
    world = await World(tmp_path).start()
    now_at = [0]
    monkeypatch.setattr("tierwise.gateway.comparing.shadow.tick_us", lambda: now_at[0])

    async def ask(user: str, times: int) -> int:
        for _ in range(times):
            await world.serve("Technical", walk=world.walk(user=user))
        return world.counted("compared")

    assert await ask("one", 30) == 1
    assert world.counted("repeated") == 29
    assert await ask("two", 1) == 2
    now_at[0] = 3_599_000_000
    assert await ask("one", 2) == 2
    now_at[0] = 3_600_000_000
    assert await ask("one", 2) == 3
    for user in range(50):
        await world.serve(walk=world.walk(user=f"other {user}"))
    assert await ask("one", 1) == 54
    assert world.rule().state == "prior"


@pytest.mark.parametrize(("status", "scores"), [(400, {"0": 1}), (413, {"0": 1}), (404, {}), (429, {})])
async def test_a_request_that_the_cheap_tier_rejects_is_a_wrong_answer_of_it(
    tmp_path: Path, status: int, scores: dict[str, int]
) -> None:
    (tmp_path / "policy.toml").write_text('[[rule]]\ntask = "classification"\ntiers = ["opus"]\n')
    error = UpstreamStatus(status, "no")
    world = await World(tmp_path, CONFIG + 'shadow_tier = "haiku"\n', reply=error).start()
    assert await world.serve(tier="opus")
    assert world.shadow.records()[0].scores == scores
    assert world.counted("failed" if not scores else "compared") == 1


async def test_a_request_that_the_reference_rejects_says_nothing(tmp_path: Path) -> None:
    world = await World(tmp_path, reply=UpstreamStatus(400, "no")).start()
    assert await world.serve()
    assert (world.shadow.records()[0].n, world.counted("failed")) == (0, 1)

"""A session that moves between vendors takes its words along, and no thinking that the next would refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from tierwise.dialects.openai_responses.replay import seal

PATH = "/anthropic/v1/messages"
HELLO = {"role": "user", "content": "hello"}
SESSION = {"x-tierwise-session": "s1", "anthropic-version": "2023-06-01"}


class Vendor:
    """Speaks Anthropic's or Responses' dialect, signs as itself, and refuses what it did not sign."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.provider = provider.Provider(self.answer)

    def answer(self, sent: provider.Sent) -> Iterator[Any]:
        body = json.loads(sent.body)
        responses = sent.path.endswith("/responses")
        turns = body["input"] if responses else body["messages"]
        seals = [seal for turn in turns if isinstance(turn, dict) for seal in seals_in(turn)]
        if not all(seal.startswith(self.name) for seal in seals):
            error = {"type": "invalid_request_error", "message": f"signatures {seals} are not mine"}
            yield provider.whole(400, {"type": "error", "error": error})
            return
        yield provider.whole(200, self.response(seals) if responses else self.message(seals))

    def message(self, seals: list[str]) -> dict[str, Any]:
        """An answer that tells how many seals came along."""
        thought = {"type": "thinking", "thinking": "hm", "signature": f"{self.name}-{len(seals)}"}
        content = [thought, {"type": "text", "text": f"{self.name} knew {len(seals)}"}]
        return {**provider.message(model="m"), "content": content}

    def response(self, seals: list[str]) -> dict[str, Any]:
        thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": f"{self.name}-1"}
        said = {"type": "output_text", "text": f"{self.name} knew {len(seals)}", "annotations": []}
        item = {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [said],
        }
        usage = {"input_tokens": 9, "output_tokens": 9, "total_tokens": 18}
        return {
            "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed",
            "output": [thought, item], "usage": usage,
        }  # fmt: skip


def seals_in(turn: dict[str, Any]) -> list[str]:
    """The signatures and encrypted contents of a turn or an item."""
    content = turn.get("content")
    blocks = [turn, *(content if isinstance(content, list) else ())]
    found = [block.get("signature") or block.get("encrypted_content") for block in blocks]
    return [seal for seal in found if seal]


def toml(dialect: str, vendors: list[Vendor]) -> str:
    suffix = "/v1" if dialect == "openai_responses" else ""
    return "\n".join(
        f'[[provider]]\nname = "{vendor.name}"\ndialect = "{dialect}"\nkey = "env:UPSTREAM_KEY"\n'
        f'base_url = "http://127.0.0.1:{vendor.provider.port}{suffix}"\nmodels = ["m"]\n'
        for vendor in vendors
    )


class World:
    def __init__(self, folder: Path, dialect: str) -> None:
        self.vendors = [Vendor("kimi"), Vendor("glm")]
        self.gateway = live.Gateway(folder, toml(dialect, self.vendors))
        self.key = self.gateway.key()
        self.turns: list[dict[str, Any]] = [HELLO]

    def ask(self, vendor: str, path: str, **more: Any) -> live.Got:
        field = "input" if path.endswith("responses") else "messages"
        body = {"model": f"{vendor}/m", field: self.turns, **more}
        return live.post(self.gateway.port, path, body, self.key, SESSION)

    def close(self) -> None:
        assert self.gateway.verify() == ""
        assert self.gateway.stop() == 0
        for vendor in self.vendors:
            vendor.provider.close()


@pytest.fixture
def claude(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, "anthropic_messages")
    yield world
    world.close()


@pytest.fixture
def responses(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, "openai_responses")
    yield world
    world.close()


THINKING = {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}


def said(world: World, vendor: str, path: str = PATH, **more: Any) -> tuple[str, set[str]]:
    """What `vendor` answered, which becomes the session's history, and the names of the Losses."""
    got = world.ask(vendor, path, **(more or THINKING))
    assert got.status == 200, got.body
    content = got.json()["content"]
    world.turns += [{"role": "assistant", "content": content}, HELLO]
    losses = got.headers.get("x-tierwise-losses", "")
    return content[-1]["text"], set(filter(None, losses.split(", ")))


def test_each_vendor_gets_its_own_thinking_back(claude: World) -> None:
    assert said(claude, "kimi") == ("kimi knew 0", set())
    assert said(claude, "kimi") == ("kimi knew 1", set())
    assert said(claude, "glm") == ("glm knew 0", {"thinking.replay"})
    assert said(claude, "glm") == ("glm knew 1", {"thinking.replay"})
    assert said(claude, "kimi") == ("kimi knew 2", {"thinking.replay"})
    assert said(claude, "kimi") == ("kimi knew 3", {"thinking.replay"})


def test_encrypted_reasoning_of_one_vendor_is_not_sent_to_another(responses: World) -> None:
    def turn(vendor: str) -> tuple[str, str]:
        got = responses.ask(vendor, "/v1/responses", reasoning={"effort": "low"}, store=False)
        assert got.status == 200, got.body
        responses.turns += [*got.json()["output"], {"type": "message", **HELLO}]
        return got.json()["output"][-1]["content"][0]["text"], got.headers.get("x-tierwise-losses", "")

    assert turn("kimi") == ("kimi knew 0", "")
    assert turn("kimi") == ("kimi knew 1", "")
    assert turn("glm") == ("glm knew 0", "thinking.replay")
    assert turn("kimi") == ("kimi knew 2", "thinking.replay")


def test_sealed_thinking_goes_to_no_responses_provider(responses: World) -> None:
    """Anthropic's thinking as a Responses caller holds it."""
    sealed = seal("anthropic_messages", "sig", "")
    responses.turns = [
        {"type": "message", **HELLO},
        {"type": "reasoning", "summary": [], "encrypted_content": sealed},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
        {"type": "message", **HELLO},
    ]
    got = responses.ask("kimi", "/v1/responses")
    assert got.status == 200, got.body
    assert got.headers["x-tierwise-losses"] == "thinking.replay"


def test_another_conversation_of_a_session_leaves_thinking_alone(claude: World) -> None:
    """Claude Code's titles and sub-agents carry its session, and may be another vendor's."""
    assert said(claude, "kimi") == ("kimi knew 0", set())
    for _ in range(2):
        main, claude.turns = claude.turns, [{"role": "user", "content": "A title?"}]
        said(claude, "glm")
        said(claude, "glm")
        claude.turns = main
        knew = len([turn for turn in main if turn["role"] == "assistant"])
        assert said(claude, "kimi") == (f"kimi knew {knew}", set())


def test_two_vendors_tried_on_one_prompt_keep_their_own_thinking(claude: World) -> None:
    conversations: dict[str, list[dict[str, Any]]] = {"kimi": [HELLO], "glm": [HELLO]}
    for turn in range(3):
        for vendor, claude.turns in conversations.items():
            assert said(claude, vendor) == (f"{vendor} knew {turn}", set())

"""Reading Anthropic's tools, system and messages, with the checks that Anthropic makes."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..cache import prefix_digest
from ..prompt import MEDIA_TOKENS, Block, Medium, Prompt, Rejected, ToolOutput, ToolSpec, asked_in, count
from ..published import binds_thinking
from ..seal import check
from .face import decoded_size, list_of, table_of, text_of

_encode = msgspec.json.encode
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_BILLING = "x-anthropic-billing-header:"
_MOST_MARKS = 4


def read_tools(prompt: Prompt, body: dict[str, Any]) -> None:
    """Fills in `tools`, `choice` and `parallel`.

    Tools that Anthropic itself would run are never called here.
    """
    for i, tool in enumerate(list_of(body.get("tools"), "tools")):
        tool = table_of(tool, f"tools.{i}")
        name = text_of(tool.get("name"), f"tools.{i}.name")
        kind = tool.get("type") or "custom"
        if not _TOOL_NAME.fullmatch(name):
            raise Rejected(
                400, f"tools.{i}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )
        if kind == "custom":
            schema = table_of(tool.get("input_schema"), f"tools.{i}.custom.input_schema")
            if schema.get("type") != "object":
                raise Rejected(400, f"tools.{i}.custom.input_schema.type: Field required")
            prompt.tools.append(ToolSpec(name, schema))
        elif not str(kind).startswith(("web_", "code_execution", "tool_search")):
            prompt.tools.append(ToolSpec(name))
        if name in {known.name for known in prompt.tools[:-1]}:
            raise Rejected(400, "tools: Tool names must be unique.")
        _add(prompt, b"tool", tool, _encode(_unmarked(tool), order="deterministic"))
    choice = table_of(body.get("tool_choice"), "tool_choice")
    kind = choice.get("type", "auto")
    if choice and not body.get("tools") and kind != "none":
        raise Rejected(400, "tool_choice: may only be specified while providing tools.")
    if kind not in ("auto", "any", "tool", "none"):
        raise Rejected(400, "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    prompt.choice = text_of(choice.get("name"), "tool_choice.name") if kind == "tool" else kind
    if kind == "tool" and prompt.choice not in {tool.name for tool in prompt.tools}:
        raise Rejected(400, f"Tool '{prompt.choice}' not found in provided tools")
    prompt.parallel = not choice.get("disable_parallel_tool_use")


class Reading:
    """Fills a Prompt from system and messages. Raises Rejected as Anthropic answers 400."""

    def __init__(self, prompt: Prompt, seed: int, new_version: bool) -> None:
        self._prompt = prompt
        self._seed = seed
        self._new_version = new_version
        self._names: dict[str, str] = {}
        self._open: list[str] = []
        self._drop_changed = False
        self._began: tuple[int, str] | None = None  # the first assistant's message since the user spoke

    def whole(self, body: dict[str, Any]) -> None:
        prompt = self._prompt
        thinking = table_of(body.get("thinking"), "thinking")
        binding = thinking.get("block_binding")
        self._drop_changed = (
            isinstance(binding, dict) and binding.get("prefix_mismatch_behavior") == "drop_block"
        )
        system = self._system(body.get("system"))
        messages = list_of(body.get("messages"), "messages")
        if not messages:
            raise Rejected(400, "messages: at least one message is required")
        for i, message in enumerate(messages):
            system += self._message(table_of(message, f"messages.{i}"), i, i == len(messages) - 1)
        if thinking.get("type") == "enabled" and self._began is not None:
            self._thought_first(*self._began)
        if self._open:
            raise Rejected(400, self._unanswered(len(messages) - 1))
        prompt.system = "\n".join(system)
        if isinstance(body.get("cache_control"), dict) and prompt.blocks:
            prompt.blocks[-1].ttl = _ttl(body["cache_control"], "cache_control")
        self._marks()

    def _system(self, system: Any) -> list[str]:
        if isinstance(system, str):
            system = [{"type": "text", "text": system}] if system else []
        texts = []
        for i, block in enumerate(list_of(system, "system")):
            block = table_of(block, f"system.{i}")
            text = text_of(block.get("text"), f"system.{i}.text")
            if not text:
                raise Rejected(400, f"system.{i}: text content blocks must be non-empty")
            if not text.startswith(_BILLING):
                texts.append(text)
                _add(self._prompt, b"system", block, text.encode(errors="surrogatepass"))
        return texts

    def _turn(self, role: str, blocks: list[Any], i: int) -> None:
        """Notes with what the turn that is being answered began."""
        kind = str(blocks[0].get("type")) if blocks and isinstance(blocks[0], dict) else ""
        if role == "user" and kind != "tool_result":
            self._began = None
        elif role == "assistant" and self._began is None:
            self._began = (i, kind)

    def _thought_first(self, i: int, kind: str) -> None:
        if kind not in ("thinking", "redacted_thinking"):
            raise Rejected(
                400,
                f"messages.{i}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
                f"`{kind}`. When `thinking` is enabled, a final `assistant` message must start with a "
                "thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks).",
            )

    def _message(self, message: dict[str, Any], i: int, last: bool) -> list[str]:
        """Reads one message; gives back what it adds to the system text."""
        role, content = message.get("role"), message.get("content")
        if role not in ("user", "assistant", "system"):
            raise Rejected(400, f"messages.{i}.role: Input should be 'user' or 'assistant'")
        if i == 0 and role == "assistant":
            raise Rejected(400, 'messages: first message must use the "user" role')
        if not content and not (last and role == "assistant"):
            raise Rejected(
                400,
                f"messages.{i}: all messages must have non-empty content except for the optional final "
                "assistant message",
            )
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        self._turn(str(role), list_of(blocks, f"messages.{i}.content"), i)
        if role == "user":
            self._answered(list_of(blocks, f"messages.{i}.content"), i)
        elif self._open:
            raise Rejected(400, self._unanswered(i - 1))
        texts = []
        for j, block in enumerate(list_of(blocks, f"messages.{i}.content")):
            text = self._block(
                table_of(block, f"messages.{i}.content.{j}"), str(role), f"messages.{i}.content.{j}"
            )
            texts += [text] if text else []
        if role == "system":
            return texts
        self._said(str(role), texts, last)
        return []

    def _said(self, role: str, texts: list[str], last: bool) -> None:
        prompt = self._prompt
        prompt.turns += texts
        if role == "user":
            prompt.prefill = ""
            prompt.question = asked_in(texts) or prompt.question
            return
        prompt.results, prompt.media = [], []
        prompt.prefill = texts[-1] if texts else ""
        if last and binds_thinking(prompt.model):
            raise Rejected(400, f"Prefilling assistant messages is not supported by {prompt.model}.")
        if last and prompt.prefill != prompt.prefill.rstrip():
            raise Rejected(400, "messages: final assistant content cannot end with trailing whitespace")

    def _block(self, block: dict[str, Any], role: str, where: str) -> str:
        """Reads one content block; gives back its text if it is text."""
        kind, key = block.get("type"), role.encode()
        prompt = self._prompt
        if kind == "text":
            text = text_of(block.get("text"), f"{where}.text")
            if not text:
                raise Rejected(400, f"{where}: text content blocks must be non-empty")
            if self._new_version and role == "user" and block.get("citations"):
                raise Rejected(
                    400, f"{where}.citations: not supported on user text by anthropic-version 2026-10-21"
                )
            _add(prompt, key, block, text.encode(errors="surrogatepass"))
            return text
        if kind in ("thinking", "redacted_thinking"):
            self._thinking(block, role, where)
        elif kind in ("image", "document"):
            if kind == "document" and role == "assistant" and self._new_version:
                raise Rejected(
                    400,
                    f"{where}: document blocks in assistant turns are not supported by anthropic-version "
                    "2026-10-21",
                )
            self._medium(block, key, where)
        elif kind == "tool_use" and role == "assistant":
            self._call(block, where)
        elif kind == "tool_result" and role == "user":
            self._result(block, where)
        elif isinstance(kind, str) and kind:
            _add(prompt, key, block, _encode(_unmarked(block), order="deterministic"))
        else:
            raise Rejected(400, f"{where}.type: Field required")
        return ""

    def _thinking(self, block: dict[str, Any], role: str, where: str) -> None:
        prompt = self._prompt
        if role != "assistant":
            raise Rejected(400, f"{where}: thinking blocks are only allowed in assistant messages")
        if block.get("cache_control"):
            raise Rejected(400, f"{where}.cache_control: Extra inputs are not permitted")
        if block["type"] == "redacted_thinking":
            return
        text = text_of(block.get("thinking"), f"{where}.thinking")
        signature = text_of(block.get("signature"), f"{where}.signature")
        found = check(self._seed, signature, prompt.model, prefix_digest(prompt.blocks), text)
        if found == "forged":
            raise Rejected(400, f"{where}: Invalid `signature` in `thinking` block")
        if found == "other_prefix" and binds_thinking(prompt.model):
            if self._drop_changed:
                return
            raise Rejected(
                400, f"{where}: `thinking` block is bound to a different prefix and cannot be replayed here"
            )
        if found != "other_model":
            prompt.blocks.append(Block(b"thinking\x1e" + text.encode(), count(text)))

    def _medium(self, block: dict[str, Any], key: bytes, where: str) -> None:
        source = table_of(block.get("source"), f"{where}.source")
        size = None
        if source.get("type") == "base64":
            size = decoded_size(text_of(source.get("data"), f"{where}.source.data"))
            text_of(source.get("media_type"), f"{where}.source.media_type")
        elif source.get("type") == "text":
            size = len(text_of(source.get("data"), f"{where}.source.data").encode())
        self._prompt.media.append(Medium(str(block["type"]), size))
        raw = _encode(_unmarked(block), order="deterministic")
        self._prompt.blocks.append(Block(key + b"\x1e" + raw, MEDIA_TOKENS, _mark(block, where)))

    def _call(self, block: dict[str, Any], where: str) -> None:
        call_id, name = text_of(block.get("id"), f"{where}.id"), text_of(block.get("name"), f"{where}.name")
        if not _CALL_ID.fullmatch(call_id):
            raise Rejected(400, f"{where}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        if not isinstance(block.get("input"), dict):
            raise Rejected(400, f"{where}.input: Input should be a valid dictionary")
        if call_id in self._open:
            raise Rejected(400, f"{where}: `tool_use` ids must be unique")
        self._names[call_id] = name
        self._open.append(call_id)
        _add(self._prompt, b"call", block, _encode([name, block["input"]], order="deterministic"))

    def _answered(self, blocks: list[Any], i: int) -> None:
        """Every call of the last message must be answered first thing in this one, and nothing else."""
        kinds = [block.get("type") if isinstance(block, dict) else None for block in blocks]
        given = [b.get("tool_use_id") for b, kind in zip(blocks, kinds, strict=True) if kind == "tool_result"]
        for j, call_id in enumerate(given):
            if call_id not in self._open:
                raise Rejected(
                    400,
                    f"messages.{i}.content.{j}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{call_id}. Each `tool_result` block must have a corresponding `tool_use` block in the "
                    "previous message.",
                )
        if set(given) != set(self._open) or (given and kinds[: len(given)] != ["tool_result"] * len(given)):
            raise Rejected(400, self._unanswered(i - 1))
        self._open = []

    def _unanswered(self, i: int) -> str:
        return (
            f"messages.{i}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(self._open)}. Each `tool_use` block must have a corresponding `tool_result` "
            "block in the next message."
        )

    def _result(self, block: dict[str, Any], where: str) -> None:
        content = block.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else list_of(content, where)
        text = "\n".join(str(p.get("text")) for p in parts if isinstance(p, dict) and p.get("type") == "text")
        for part in parts:
            if isinstance(part, dict) and part.get("type") in ("image", "document"):
                self._medium(part, b"result", where)
        self._prompt.results.append(
            ToolOutput(self._names.get(str(block.get("tool_use_id")), "?"), text, bool(block.get("is_error")))
        )
        _add(self._prompt, b"result", block, text.encode(errors="surrogatepass"))

    def _marks(self) -> None:
        """At most 4 breakpoints, those of an hour first."""
        ttls = [block.ttl for block in self._prompt.blocks if block.ttl]
        if len(ttls) > _MOST_MARKS:
            raise Rejected(
                400, f"A maximum of 4 blocks with cache_control may be provided. Found {len(ttls)}."
            )
        if "5m" in ttls and "1h" in ttls[ttls.index("5m") :]:
            raise Rejected(
                400,
                "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. "
                "Note that blocks are processed in the following order: `tools`, `system`, `messages`.",
            )


def _add(prompt: Prompt, role: bytes, block: dict[str, Any], raw: bytes) -> None:
    prompt.blocks.append(Block(role + b"\x1e" + raw, (len(raw) + 3) // 4, _mark(block, role.decode())))


def _mark(block: dict[str, Any], where: str) -> str:
    control = block.get("cache_control")
    return _ttl(control, f"{where}.cache_control") if isinstance(control, dict) else ""


def _ttl(control: dict[str, Any], where: str) -> str:
    if control.get("type") != "ephemeral":
        raise Rejected(400, f"{where}.type: Input should be 'ephemeral'")
    ttl = control.get("ttl") or "5m"
    if ttl not in ("5m", "1h"):
        raise Rejected(400, f"{where}.ttl: Input should be '5m' or '1h'")
    return str(ttl)


def _unmarked(block: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != "cache_control"}

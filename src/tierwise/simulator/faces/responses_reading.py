"""Reading the input items and tools of OpenAI responses."""

from __future__ import annotations

from typing import Any

import msgspec

from ..prompt import MEDIA_TOKENS, Block, Medium, Prompt, Rejected, ToolOutput, ToolSpec, asked_in, count
from .face import decoded_size, list_of, media_size, table_of, text_of
from .openai_chat import mark_of

_encode = msgspec.json.encode


def read_tools(prompt: Prompt, tools: Any, where: str, namespace: str | None = None) -> None:
    """Adds `tools` to the prompt:

    functions, custom tools, and those inside namespaces. Hosted tools are never called.
    """
    for i, tool in enumerate(list_of(tools, where)):
        tool = table_of(tool, f"{where}[{i}]")
        kind = tool.get("type")
        if kind == "namespace":
            read_tools(prompt, tool.get("tools"), f"{where}[{i}].tools", str(tool.get("name")))
            continue
        if kind in ("function", "custom"):
            name = text_of(tool.get("name"), f"{where}[{i}].name")
            schema = table_of(tool.get("parameters"), f"{where}[{i}].parameters")
            prompt.tools.append(ToolSpec(name, schema, kind, namespace))
        raw = _encode(tool, order="deterministic")
        prompt.blocks.append(Block(b"tool\x1e" + raw, (len(raw) + 3) // 4))


def read_choice(prompt: Prompt, body: dict[str, Any]) -> None:
    """Fills in `choice` and `parallel`."""
    choice = body.get("tool_choice")
    if isinstance(choice, str):
        prompt.choice = {"required": "any"}.get(choice, choice)
    elif choice is not None:
        named = table_of(choice, "tool_choice")
        if named.get("type") in ("function", "custom"):
            prompt.choice = text_of(named.get("name"), "tool_choice.name")
        elif named.get("type") == "allowed_tools":
            prompt.choice = "any" if named.get("mode") == "required" else "auto"
    if prompt.choice not in ("auto", "none", "any") and prompt.choice not in {t.name for t in prompt.tools}:
        raise Rejected(400, f"Tool choice '{prompt.choice}' not found in 'tools' parameter.", "tool_choice")
    prompt.parallel = body.get("parallel_tool_calls") is not False


class Reading:
    """Fills a Prompt from instructions and input, and checks that calls and outputs pair up."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._open: dict[str, str] = {}

    def whole(self, body: dict[str, Any]) -> None:
        prompt = self._prompt
        system: list[str] = []
        if body.get("instructions"):
            system.append(text_of(body["instructions"], "instructions"))
            self._add(b"system", system[0])
        given = body.get("input")
        if given is None:
            raise Rejected(400, "Missing required parameter: 'input'.", "input", "missing_required_parameter")
        items = [{"role": "user", "content": given}] if isinstance(given, str) else list_of(given, "input")
        for i, item in enumerate(items):
            system += self._item(table_of(item, f"input[{i}]"), f"input[{i}]")
        if self._open:
            raise Rejected(400, f"No tool output found for function call {next(iter(self._open))}.", "input")
        prompt.system = "\n".join(system)

    def _item(self, item: dict[str, Any], where: str) -> list[str]:
        """Reads one item; gives back what it adds to the system text."""
        prompt, kind = self._prompt, item.get("type") or "message"
        if kind == "message":
            return self._message(item, where)
        if kind in ("function_call", "custom_tool_call"):
            prompt.results, prompt.media = ([], []) if not self._open else (prompt.results, prompt.media)
            name = text_of(item.get("name"), f"{where}.name")
            text = text_of(item.get("arguments", item.get("input")), f"{where}.arguments")
            self._open[text_of(item.get("call_id"), f"{where}.call_id")] = name
            self._add(b"call", f"{name} {text}")
        elif kind in ("function_call_output", "custom_tool_call_output"):
            call_id = text_of(item.get("call_id"), f"{where}.call_id")
            name = self._open.pop(call_id, "")
            if not name:
                raise Rejected(
                    400, f"No tool call found for function call output with call_id {call_id}.", "input"
                )
            output = item.get("output")
            texts = (
                [output] if isinstance(output, str) else self._parts(list_of(output, where), b"result", where)
            )
            if isinstance(output, str):
                self._add(b"result", output)
            prompt.results.append(ToolOutput(name, "\n".join(texts)))
        elif kind == "additional_tools":
            read_tools(prompt, item.get("tools"), f"{where}.tools")
        elif kind != "reasoning":
            self._add(str(kind).encode(), _encode(item, order="deterministic").decode())
        return []

    def _message(self, item: dict[str, Any], where: str) -> list[str]:
        prompt, role = self._prompt, text_of(item.get("role"), f"{where}.role")
        content = item.get("content")
        if isinstance(content, str):
            self._add(role.encode(), content)
            texts = [content] if content else []
        else:
            texts = self._parts(list_of(content, f"{where}.content"), role.encode(), where)
        if role in ("system", "developer"):
            return texts
        prompt.turns += texts
        if role == "user":
            prompt.results, prompt.prefill = [], ""
            prompt.question = asked_in(texts) or prompt.question
        elif role == "assistant":
            prompt.results, prompt.media = [], []
        else:
            raise Rejected(400, f"Invalid value: '{role}'.", f"{where}.role", "invalid_value")
        return []

    def _parts(self, parts: list[Any], key: bytes, where: str) -> list[str]:
        texts = []
        for j, part in enumerate(parts):
            part = table_of(part, f"{where}.content[{j}]")
            kind = part.get("type")
            if kind in ("input_text", "output_text", "refusal", "text", "summary_text"):
                text = text_of(
                    part.get("refusal" if kind == "refusal" else "text"), f"{where}.content[{j}].text"
                )
                self._add(key, text, mark_of(part))
                texts.append(text)
            elif kind in ("input_image", "input_file", "input_audio"):
                self._prompt.media.append(_medium(str(kind), part))
                raw = _encode(part, order="deterministic")
                self._prompt.blocks.append(Block(key + b"\x1e" + raw, MEDIA_TOKENS, mark_of(part)))
            else:
                raise Rejected(
                    400, f"Invalid value: '{kind}'.", f"{where}.content[{j}].type", "invalid_value"
                )
        return texts

    def _add(self, key: bytes, text: str, ttl: str = "") -> None:
        block = Block(key + b"\x1e" + text.encode(errors="surrogatepass"), count(text), ttl)
        self._prompt.blocks.append(block)


def _medium(kind: str, part: dict[str, Any]) -> Medium:
    if kind == "input_image":
        url = part.get("image_url")
        return Medium("image", media_size(url) if isinstance(url, str) else None)
    if kind == "input_audio":
        return Medium("sound", decoded_size(str(part.get("data", ""))))
    held = part.get("file_data")
    return Medium("document", media_size(held) if isinstance(held, str) else None)

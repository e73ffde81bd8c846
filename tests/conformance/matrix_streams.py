"""Whole replies ⇄ streams, written by hand from the vendors' documents: what the matrix streams with.

`streamed` cuts a whole reply into the provider's frames, every text in two pieces; `assembled` puts a stream
together as a strict client does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Wire = dict[str, Any]


def data(value: Any) -> bytes:
    """A `data:` frame."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def event(value: Wire) -> bytes:
    """An `event:` frame named as its type."""
    return f"event: {value['type']}\n".encode() + data(value)


def halves(text: str) -> list[str]:
    """A text in two pieces, none when it is empty."""
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def streamed(code: str, body: Wire) -> list[bytes]:
    """The frames that a provider of this dialect streams in place of `body`."""
    return list({"C": _chat, "R": _responses, "A": _messages, "G": _gemini}[code](body))


_IN_PIECES = {"role", "reasoning_content", "content", "refusal", "tool_calls"}
_IN_CHOICE = {"index", "message", "finish_reason", "logprobs"}
_AT_THE_END = {"stop_reason", "stop_sequence", "stop_details"}


def _chat(body: Wire) -> Iterator[bytes]:
    head = {name: value for name, value in body.items() if name not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk"

    def chunk(index: int, delta: Wire, reason: Any = None, **more: Any) -> bytes:
        return data({**head, "choices": [{"index": index, "delta": delta, "finish_reason": reason, **more}]})

    for choice in body["choices"]:
        n, message = choice["index"], choice["message"]
        yield chunk(n, {"role": "assistant", "content": ""})
        for field in ("reasoning_content", "content", "refusal"):
            pieces = halves(message.get(field) or "")
            for i, piece in enumerate(pieces):
                told = choice.get("logprobs") if field == "content" and i == 0 else None
                yield chunk(n, {field: piece}, **({"logprobs": told} if told else {}))
        for field in message.keys() - _IN_PIECES:
            yield chunk(n, {field: message[field]})
        for k, call in enumerate(message.get("tool_calls") or ()):
            kind = call["type"]
            field = "input" if kind == "custom" else "arguments"
            begun = {**call, "index": k, kind: {"name": call[kind]["name"], field: ""}}
            yield chunk(n, {"tool_calls": [begun]})
            for piece in halves(call[kind][field]):
                yield chunk(n, {"tool_calls": [{"index": k, kind: {field: piece}}]})
        yield chunk(n, {}, choice["finish_reason"], **{k: choice[k] for k in choice.keys() - _IN_CHOICE})
    if body.get("usage"):
        yield data({**head, "choices": [], "usage": body["usage"]})
    yield b"data: [DONE]\n\n"


def _messages(body: Wire) -> Iterator[bytes]:
    begun = {name: value for name, value in body.items() if name not in _AT_THE_END}
    begun |= {"content": [], "stop_reason": None, "usage": {**body["usage"], "output_tokens": 1}}
    yield event({"type": "message_start", "message": begun})
    for i, block in enumerate(body["content"]):
        deltas: list[Wire] = []
        opening = dict(block)
        if block["type"] == "text":
            opening["text"] = ""
            deltas = [{"type": "text_delta", "text": piece} for piece in halves(block["text"])]
            notes = opening.pop("citations", [])
            deltas += [{"type": "citations_delta", "citation": note} for note in notes]
        elif block["type"] == "thinking":
            opening |= {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in halves(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        elif block["type"] in ("tool_use", "server_tool_use"):
            opening["input"] = {}
            pieces = halves(json.dumps(block["input"])) if block["input"] else []
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        yield event({"type": "content_block_start", "index": i, "content_block": opening})
        for delta in deltas:
            yield event({"type": "content_block_delta", "index": i, "delta": delta})
        yield event({"type": "content_block_stop", "index": i})
    delta = {"stop_sequence": None, **{name: body[name] for name in _AT_THE_END & body.keys()}}
    yield event({"type": "message_delta", "delta": delta, "usage": body["usage"]})
    yield event({"type": "message_stop"})


def _responses(body: Wire) -> Iterator[bytes]:
    events: list[Wire] = []
    begun = {**body, "status": "in_progress", "output": [], "usage": None}
    for kind in ("created", "in_progress"):
        events.append({"type": f"response.{kind}", "response": begun})
    for i, item in enumerate(body["output"]):
        events += _item_events(i, item)
    events.append({"type": f"response.{body['status']}", "response": body})
    for number, told in enumerate(events):
        yield event({**told, "sequence_number": number})


def _item_events(index: int, item: Wire) -> list[Wire]:
    at = {"output_index": index, "item_id": item.get("id", "")}
    opening, inside = {**item, "status": "in_progress"}, []
    if item["type"] == "message":
        opening["content"] = []
        for k, part in enumerate(item["content"]):
            here = {**at, "content_index": k}
            field = "refusal" if part["type"] == "refusal" else "text"
            empty = {**part, field: ""} | ({} if field == "refusal" else {"annotations": [], "logprobs": []})
            inside.append({"type": "response.content_part.added", **here, "part": empty})
            name = "response.refusal" if field == "refusal" else "response.output_text"
            probs = part.get("logprobs") or []
            for j, piece in enumerate(halves(part[field])):
                more = {} if field == "refusal" else {"logprobs": probs if j == 0 else []}
                inside.append({"type": f"{name}.delta", **here, "delta": piece, **more})
            for j, note in enumerate(part.get("annotations") or ()):
                kind = "response.output_text.annotation.added"
                inside.append({"type": kind, **here, "annotation_index": j, "annotation": note})
            inside.append({"type": f"{name}.done", **here, field: part[field]})
            inside.append({"type": "response.content_part.done", **here, "part": part})
    elif item["type"] == "reasoning":
        opening |= {"summary": [], "encrypted_content": ""}
        for k, part in enumerate(item["summary"]):
            here = {**at, "summary_index": k}
            inside.append(
                {"type": "response.reasoning_summary_part.added", **here, "part": {**part, "text": ""}}
            )
            for piece in halves(part["text"]):
                inside.append({"type": "response.reasoning_summary_text.delta", **here, "delta": piece})
            inside.append({"type": "response.reasoning_summary_text.done", **here, "text": part["text"]})
            inside.append({"type": "response.reasoning_summary_part.done", **here, "part": part})
    elif item["type"] in ("function_call", "custom_tool_call"):
        field = "input" if item["type"] == "custom_tool_call" else "arguments"
        name = "custom_tool_call_input" if field == "input" else "function_call_arguments"
        opening[field] = ""
        for piece in halves(item[field]):
            inside.append({"type": f"response.{name}.delta", **at, "delta": piece})
        inside.append({"type": f"response.{name}.done", **at, field: item[field]})
    added = {"type": "response.output_item.added", "output_index": index, "item": opening}
    return [added, *inside, {"type": "response.output_item.done", "output_index": index, "item": item}]


def _gemini(body: Wire) -> Iterator[bytes]:
    head = {name: value for name, value in body.items() if name not in ("candidates", "usageMetadata")}
    for n, candidate in enumerate(body["candidates"]):
        number = {"index": candidate.get("index", n)}
        probs = {name: candidate[name] for name in ("logprobsResult",) if name in candidate}
        usage = {"usageMetadata": body["usageMetadata"]}
        for part in candidate["content"].get("parts", []):
            text = part.get("text")
            pieces = [part] if not text else [{"text": piece} for piece in halves(text)]
            if text:
                pieces = [{**part, **piece, "thoughtSignature": None} for piece in pieces]
                pieces[-1]["thoughtSignature"] = part.get("thoughtSignature")
            for piece in pieces:
                said = {"content": {"role": "model", "parts": [piece]}, **number, **probs}
                probs = {}
                yield data({**head, "candidates": [said], **usage})
        last = {name: value for name, value in candidate.items() if name not in ("content", "logprobsResult")}
        end = {**head, "candidates": [{**last, **number}]}
        yield data({**end, **usage})


def frames(raw: bytes) -> list[Any]:
    """The decoded data of every frame; `[DONE]` as it is."""
    found = []
    for frame in raw.decode().split("\n\n"):
        line = next((line for line in frame.split("\n") if line.startswith("data: ")), None)
        if line is not None:
            found.append(line[6:] if line == "data: [DONE]" else json.loads(line[6:]))
    return found


def assembled(code: str, raw: bytes) -> Wire:
    """The whole reply that a client of this dialect builds from the stream."""
    told = frames(raw)
    return {"C": _from_chunks, "R": _from_events, "A": _from_blocks, "G": _from_candidates}[code](told)


def _from_chunks(told: list[Any]) -> Wire:
    assert told[-1] == "[DONE]"
    chunks = told[:-1]
    assert len({(c["id"], c["created"], c["model"]) for c in chunks}) == 1
    body: Wire = {**chunks[0], "choices": []}
    for chunk in chunks:
        usage = chunk.get("usage") or body.get("usage")
        body |= {name: chunk[name] for name in chunk.keys() - {"choices"}} | {"usage": usage}
        for choice in chunk["choices"]:
            while len(body["choices"]) <= choice["index"]:
                empty = {
                    "index": len(body["choices"]),
                    "message": {},
                    "finish_reason": None,
                    "logprobs": None,
                }
                body["choices"].append(empty)
            held = body["choices"][choice["index"]]
            assert held["finish_reason"] is None
            held |= {name: choice[name] for name in choice.keys() - _IN_CHOICE - {"delta"}}
            held["finish_reason"] = choice["finish_reason"]
            held["logprobs"] = choice.get("logprobs") or held["logprobs"]
            _add(held["message"], choice["delta"])
    return body


def _add(message: Wire, delta: Wire) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for piece in value:
                if piece["index"] == len(calls):
                    calls.append({name: part for name, part in piece.items() if name != "index"})
                    continue
                for kind in ("function", "custom"):
                    for field, more in piece.get(kind, {}).items():
                        calls[piece["index"]][kind][field] += more
        elif name == "annotations":
            message.setdefault(name, []).extend(value)
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
        else:
            message.setdefault(name, value)


def _from_events(told: list[Any]) -> Wire:
    assert [each["sequence_number"] for each in told] == list(range(len(told)))
    last: Wire = told[-1]
    assert last["type"] in ("response.completed", "response.incomplete", "response.failed")
    done = [each["item"] for each in told if each["type"] == "response.output_item.done"]
    assert done == last["response"]["output"]
    return dict(last["response"])


def _from_blocks(told: list[Any]) -> Wire:
    assert told[-1]["type"] == "message_stop"
    body: Wire = dict(told[0]["message"])
    body["content"], open_block = [], None
    for each in told[1:]:
        match each["type"]:
            case "content_block_start":
                assert open_block is None
                assert each["index"] == len(body["content"])
                open_block = dict(each["content_block"])
                body["content"].append(open_block)
                pieces: list[str] = []
            case "content_block_delta":
                assert open_block is not None
                assert each["index"] == len(body["content"]) - 1
                delta = each["delta"]
                if delta["type"] == "input_json_delta":
                    pieces.append(delta["partial_json"])
                elif delta["type"] == "citations_delta":
                    open_block["citations"] = [*open_block.get("citations", []), delta["citation"]]
                else:
                    field = delta["type"].removesuffix("_delta")
                    open_block[field] = open_block.get(field, "") + delta[field]
            case "content_block_stop":
                assert open_block is not None
                if pieces:
                    open_block["input"] = json.loads("".join(pieces))
                open_block = None
            case "message_delta":
                assert open_block is None
                body |= each["delta"]
                body["usage"] = {**body["usage"], **each["usage"]}
    return body


def _from_candidates(told: list[Any]) -> Wire:
    body: Wire = {**told[0], "candidates": []}
    for chunk in told:
        body |= {name: value for name, value in chunk.items() if name != "candidates"}
        for candidate in chunk.get("candidates", []):
            while len(body["candidates"]) <= candidate.get("index", 0):
                body["candidates"].append({"content": {"role": "model", "parts": []}})
            held = body["candidates"][candidate.get("index", 0)]
            parts = held["content"]["parts"]
            for part in (candidate.get("content") or {}).get("parts", []):
                last = parts[-1] if parts else {}
                same = (
                    "text" in part
                    and "thoughtSignature" not in part
                    and "text" in last
                    and part.get("thought") == last.get("thought")
                )
                if same:
                    parts[-1] = {**last, **part, "text": last["text"] + part["text"]}
                elif part != {"text": ""}:
                    parts.append(part)
            held |= {name: value for name, value in candidate.items() if name != "content"}
    return body

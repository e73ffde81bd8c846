"""The matrix, second table: media, prompt caching, and what a history holds of the model's own."""

from __future__ import annotations

from conformance.matrix import Cell, Row, carried, changed, loss
from conformance.matrix_words import (
    PDF,
    PNG,
    WAV,
    WORDS,
    Wire,
    call,
    chat,
    content,
    contents,
    function,
    item,
    items,
    look,
    loop,
    said,
    tools,
    user,
    worded,
)

ALL = dict.fromkeys("CRAG", carried)
BARE: dict[str, Wire] = {
    "C": chat(user("look")),
    "R": items(item("user", "look")),
    "A": chat(user("look")),
    "G": contents(content("user", "look")),
}


def without(*names: str, but: str = "") -> dict[str, Cell]:
    """Only the text goes to every target, but to those in `but`."""
    return {code: carried if code in but else loss(*names, fragment=BARE[code]) for code in "CRAG"} | {
        f"{code}>{code}": carried for code in "CRAG"
    }


def image(code: str, url: str, detail: str = "") -> Wire:
    """A user's message with an image at `url`, a `data:` URL or another."""
    mime, _, data = url[5:].partition(";base64,") if url.startswith("data:") else ("image/png", "", "")
    match code:
        case "C":
            more = {"detail": detail} if detail else {}
            return look("C", {"type": "image_url", "image_url": {"url": url, **more}})
        case "R":
            return look("R", {"type": "input_image", "image_url": url, "detail": detail or "auto"})
        case "A":
            base64 = {"type": "base64", "media_type": mime, "data": data}
            return look("A", {"type": "image", "source": base64 if data else {"type": "url", "url": url}})
    if data:
        return look("G", {"inlineData": {"mimeType": mime, "data": data}})
    return look("G", {"fileData": {"fileUri": url, "mimeType": mime}})


def file(code: str, mime: str, data: str, name: str = "") -> Wire:
    """A user's message with a document, base64."""
    url = f"data:{mime};base64,{data}"
    match code:
        case "C":
            return look("C", {"type": "file", "file": {"filename": name, "file_data": url}})
        case "R":
            return look("R", {"type": "input_file", "filename": name, "file_data": url})
        case "A":
            title = {"title": name} if name else {}
            source = {"type": "base64", "media_type": mime, "data": data}
            return look("A", {"type": "document", "source": source, **title})
    return look("G", {"inlineData": {"mimeType": mime, "data": data}})


def words(code: str, text: str) -> Wire:
    """A user's message of `look` and another text."""
    return look(
        code,
        {"text": text} if code == "G" else {"type": "input_text" if code == "R" else "text", "text": text},
    )


def marked(code: str, *texts: str, mark: Wire | None = None, on: str = "") -> Wire:
    """A user's texts with a cache breakpoint each (or on those in `on`)."""
    if mark is None:
        mark = {"type": "ephemeral"} if code == "A" else {"mode": "explicit"}
    key = "cache_control" if code == "A" else "prompt_cache_breakpoint"
    kind = "input_text" if code == "R" else "text"
    parts = [
        {"type": kind, "text": text, **({key: mark} if not on or text in on.split() else {})}
        for text in texts
    ]
    if code == "R":
        return items({"type": "message", "role": "user", "content": parts})
    return chat(user(parts))


FIVE = ("t1", "t2", "t3", "t4", "t5")
SEEN = "https://example.com/a.png"
READ = "https://example.com/a.pdf"
RAINS = "SXQgcmFpbnMu"  # "It rains."
_NOTES = {"type": "text", "media_type": "text/plain", "data": "It rains."}
_TITLED = "media.document.context"
_PLACE = {"type": "char_location", "cited_text": "sun", "document_index": 0, "document_title": "almanac"}
_LINK = {"url": "https://example.com/sun", "title": "almanac", "start_index": 0, "end_index": 3}
_THOUGHT = {"type": "thinking", "thinking": "hm, so", "signature": "sigA"}
_UNSIGNED = {"type": "thinking", "thinking": "hm, so", "signature": ""}
_REDACTED = {"type": "redacted_thinking", "data": "encA"}
_REASONED = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "hm, so"}],
    "encrypted_content": "encR",
}
_SIGNED = {**call("G"), "thoughtSignature": "sigG"}
_RESULT = {"functionResponse": {"id": "call_1", "name": "f", "response": {"output": "sun"}}}
DROPPED = {code: loss("thinking.replay", fragment=loop(code, "sun")) for code in "CRAG"}
REFUSED = "I will not."
SUNNY = {
    "C": chat(user("hello"), said("sun"), user("more")),
    "R": items(item("user", "hello"), item("assistant", "sun"), item("user", "more")),
    "A": chat(user("hello"), said("sun"), user("more")),
    "G": contents(content("user", "hello"), content("model", "sun"), content("user", "more")),
}

MEDIA = [
    Row("image by URL", {code: image(code, SEEN) for code in "CRAG"}, ALL),
    Row("image in base64", {code: image(code, f"data:image/png;base64,{PNG}") for code in "CRAG"}, ALL),
    Row(
        "image by file id",
        {
            "R": look("R", {"type": "input_image", "file_id": "file-1", "detail": "auto"}),
            "A": look("A", {"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
            "G": look("G", {"fileData": {"fileUri": "gs://b/a.png", "mimeType": "image/png"}}),
        },
        without("media.file_id"),
    ),
    Row(
        "image detail",
        {"C": image("C", SEEN, "high"), "R": image("R", SEEN, "high")},
        {**ALL, **{code: loss("media.detail", fragment=image(code, SEEN)) for code in "AG"}},
    ),
    Row(
        "PDF in base64",
        {code: file(code, "application/pdf", PDF, "rain.pdf") for code in "CRA"}
        | {"G": file("G", "application/pdf", PDF)},
        {
            **ALL,
            "G": changed("without its name", file("G", "application/pdf", PDF), _TITLED),
            "G>G": carried,
            "G>C": changed("with a name of its type", file("C", "application/pdf", PDF, "document.pdf")),
            "G>R": changed("with a name of its type", file("R", "application/pdf", PDF, "document.pdf")),
            "G>A": changed("without a name", file("A", "application/pdf", PDF)),
        },
    ),
    Row(
        "text document without a name, base64",
        {"G": file("G", "text/plain", "SXQ=")},
        {
            "G": carried,
            "A": changed(
                "as a text source", look("A", {"type": "document", "source": {**_NOTES, "data": "It"}})
            ),
            "C": changed("with a name of its type", file("C", "text/plain", "SXQ=", "document.txt")),
            "R": changed("with a name of its type", file("R", "text/plain", "SXQ=", "document.txt")),
        },
    ),
    Row(
        "PDF by URL",
        {
            "R": look("R", {"type": "input_file", "file_url": READ}),
            "A": look("A", {"type": "document", "source": {"type": "url", "url": READ}}),
            "G": look("G", {"fileData": {"fileUri": READ, "mimeType": "application/pdf"}}),
        },
        {**ALL, "C": loss("media.document_url", fragment=BARE["C"])},
    ),
    Row(
        "PDF by URL, with a title",
        {
            "A": look("A", {"type": "document", "title": "T", "source": {"type": "url", "url": READ}}),
            "G": look(
                "G", {"fileData": {"fileUri": READ, "mimeType": "application/pdf", "displayName": "T"}}
            ),
        },
        {
            "C": loss("media.document_url", fragment=BARE["C"]),
            "R": changed(
                "without it",
                look("R", {"type": "input_file", "file_url": READ}),
                "media.document.context",
            ),
            "A": carried,
            "G": changed(
                "without it",
                look("G", {"fileData": {"fileUri": READ, "mimeType": "application/pdf"}}),
                "media.document.context",
            ),
        },
    ),
    Row(
        "the file name of an image",
        {"G": look("G", {"inlineData": {"mimeType": "image/png", "data": PNG, "displayName": "seen.png"}})},
        {
            "G": carried,
            **{
                code: changed("without it", image(code, f"data:image/png;base64,{PNG}"), "media.name")
                for code in "CRA"
            },
        },
    ),
    Row(
        "a document's detail",
        {
            "R": look(
                "R",
                {
                    "type": "input_file",
                    "filename": "a.pdf",
                    "detail": "high",
                    "file_data": f"data:application/pdf;base64,{PDF}",
                },
            )
        },
        {
            "R": carried,
            "C": changed("without it", file("C", "application/pdf", PDF, "a.pdf"), "media.detail"),
            "A": changed("without it", file("A", "application/pdf", PDF, "a.pdf"), "media.detail"),
            "G": changed(
                "without it", file("G", "application/pdf", PDF), "media.detail", "media.document.context"
            ),
        },
    ),
    Row(
        "PDF by file id",
        {
            "C": look("C", {"type": "file", "file": {"file_id": "file-1"}}),
            "R": look("R", {"type": "input_file", "file_id": "file-1"}),
            "A": look("A", {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
            "G": look("G", {"fileData": {"fileUri": "gs://b/a.pdf", "mimeType": "application/pdf"}}),
        },
        without("media.file_id") | {"C>R": carried, "R>C": carried},
    ),
    Row(
        "text document, base64",
        {code: file(code, "text/plain", RAINS, "notes.txt") for code in "CR"}
        | {"G": file("G", "text/plain", RAINS)},
        {
            **ALL,
            "A": changed(
                "as a text source", look("A", {"type": "document", "title": "notes.txt", "source": _NOTES})
            ),
            "G": changed("without its name", file("G", "text/plain", RAINS), _TITLED),
            "G>G": carried,
            "G>C": changed("with a name of its type", file("C", "text/plain", RAINS, "document.txt")),
            "G>R": changed(
                "with a name",
                look("R", {"type": "input_file", "file_data": f"data:text/plain;base64,{RAINS}"}),
            ),
            "G>A": changed("as a text source", look("A", {"type": "document", "source": _NOTES})),
        },
    ),
    Row(
        "text document, title and context",
        {"A": look("A", {"type": "document", "title": "notes", "context": "of May", "source": _NOTES})},
        {
            "A": carried,
            **{
                code: changed("as text", words(code, "notes\nof May\n\nIt rains."), "media.document.as_text")
                for code in "CRG"
            },
        },
    ),
    Row(
        "document of text blocks",
        {"A": look("A", {"type": "document", "title": "T", "source": {"type": "content", "content": WORDS}})},
        {
            "A": carried,
            **{
                code: changed("as text", look(code, part), "media.document.as_text")
                for code, part in worded("T\n\nIt rains.\n\nIt pours.").items()
            },
        },
    ),
    Row(
        "search result",
        {
            "A": look(
                "A",
                {
                    "type": "search_result",
                    "source": READ,
                    "title": "T",
                    "content": WORDS,
                    "citations": {"enabled": True},
                },
            )
        },
        {
            "A": carried,
            **{
                code: changed(
                    "as text", look(code, part), "media.document.as_text", "media.document.citations"
                )
                for code, part in worded(f"T\n{READ}\n\nIt rains.\n\nIt pours.").items()
            },
        },
    ),
    Row(
        "citations of a document",
        {
            "A": look(
                "A",
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                    "citations": {"enabled": True},
                },
            )
        },
        {
            "A": carried,
            "C": loss("media.document.citations", fragment=file("C", "application/pdf", PDF, "document.pdf")),
            "R": loss("media.document.citations", fragment=file("R", "application/pdf", PDF, "document.pdf")),
            "G": loss("media.document.citations", fragment=file("G", "application/pdf", PDF)),
        },
    ),
    Row(
        "audio",
        {
            code: look(code, {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}})
            for code in "CR"
        }
        | {"G": look("G", {"inlineData": {"mimeType": "audio/wav", "data": WAV}})},
        without("media.audio", but="CG"),
    ),
    Row(
        "video by URL",
        {
            "C": look("C", {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}),
            "G": look("G", {"fileData": {"fileUri": "https://example.com/a.mp4", "mimeType": "video/mp4"}}),
        },
        {**without("media.video", but="G"), "C>C": carried, "G>C": loss("media.video", fragment=BARE["C"])},
    ),
    Row(
        "cache breakpoints, 5 or 30 minutes",
        {code: marked(code, "long") for code in "CRA"},
        {
            "C": carried,
            "R": carried,
            "A": changed("30 minutes as 5", marked("A", "long"), "cache.ttl"),
            "A>A": carried,
            "G": loss("cache.mark", how="implicit caching only"),
        },
    ),
    Row(
        "cache breakpoints, 1 hour",
        {"A": marked("A", "long", mark={"type": "ephemeral", "ttl": "1h"})},
        {
            "A": carried,
            "C": changed("1 hour as 30 minutes", marked("C", "long"), "cache.ttl"),
            "R": changed("1 hour as 30 minutes", marked("R", "long"), "cache.ttl"),
            "G": loss("cache.mark", how="implicit caching only"),
        },
    ),
    Row(
        "more than 4 cache breakpoints",
        {code: marked(code, *FIVE) for code in "CRA"},
        {
            "C": changed(
                "the first and the last 3", marked("C", *FIVE, on="t1 t3 t4 t5"), "cache.more_than_4"
            ),
            "C>C": carried,
            "R": changed(
                "the first and the last 3", marked("R", *FIVE, on="t1 t3 t4 t5"), "cache.more_than_4"
            ),
            "R>R": carried,
            "A": changed(
                "the first and the last 3",
                marked("A", *FIVE, on="t1 t3 t4 t5"),
                "cache.more_than_4",
                "cache.ttl",
            ),
            "A>A": carried,
            "G": loss("cache.mark", how="implicit caching only"),
        },
    ),
    Row(
        "cache breakpoint on a tool",
        {"A": {"tools": [{**function("A"), "cache_control": {"type": "ephemeral"}}]}},
        {"A": carried, **{code: loss("cache.mark", fragment=tools(code)) for code in "CRG"}},
    ),
    Row(
        "thinking in the history, to its own vendor",
        {
            "A": loop("A", "sun", before=_THOUGHT),
            "R": loop("R", "sun", before=_REASONED),
            "G": {
                **tools("G"),
                **contents(
                    content("user", "hello"),
                    content("model", {"text": "hm, so", "thought": True}, _SIGNED),
                    content("user", _RESULT),
                ),
            },
            "C": loop("C", "sun", before={"reasoning_content": "hm, so"}),
        },
        {
            **DROPPED,
            "C>C": DROPPED["C"],
            **{
                f"G>{code}": loss("thinking.replay", "tool_call.signature", fragment=loop(code, "sun"))
                for code in "CRA"
            },
        },
    ),
    Row(
        "thinking in the history, of another vendor or unsigned",
        {
            "A": loop("A", "sun", before=_UNSIGNED),
            "C": loop("C", "sun", before={"reasoning_content": "hm, so"}),
        },
        {**DROPPED, "A>A": DROPPED["A"], "C>C": DROPPED["C"]},
    ),
    Row(
        "redacted thinking in the history",
        {"A": loop("A", "sun", before=_REDACTED)},
        {**DROPPED, "A": carried},
    ),
    Row(
        "a refusal in the history",
        {
            "C": chat(
                user("hello"), {"role": "assistant", "content": None, "refusal": REFUSED}, user("more")
            ),
            "R": items(
                item("user", "hello"),
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "refusal", "refusal": REFUSED}],
                },
                item("user", "more"),
            ),
        },
        {
            **ALL,
            "A": changed("as text", chat(user("hello"), said(REFUSED), user("more")), "message.refusal"),
            "G": changed(
                "as text",
                contents(content("user", "hello"), content("model", REFUSED), content("user", "more")),
                "message.refusal",
            ),
        },
    ),
    Row(
        "citations in the history",
        {
            "A": chat(
                user("hello"), said([{"type": "text", "text": "sun", "citations": [_PLACE]}]), user("more")
            ),
            "R": items(
                item("user", "hello"),
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [
                        {
                            "type": "output_text",
                            "text": "sun",
                            "annotations": [{"type": "url_citation", **_LINK}],
                        }
                    ],
                },
                item("user", "more"),
            ),
            "C": chat(
                user("hello"),
                {**said("sun"), "annotations": [{"type": "url_citation", "url_citation": _LINK}]},
                user("more"),
            ),
        },
        {
            **{code: loss("message.citations", fragment=SUNNY[code]) for code in "CRG"},
            "A": loss("message.citations", fragment=SUNNY["A"]),
            "A>A": carried,
            "R>R": carried,
            "C>C": loss("message.citations", how="OpenAI's models take none", fragment=SUNNY["C"]),
        },
    ),
]

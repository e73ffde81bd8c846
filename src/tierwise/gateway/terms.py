"""A task's longest answer, asked for where the caller named none. The only change that
`max_output_tokens` makes to a body."""

from __future__ import annotations

import msgspec
from msgspec import Raw, structs

from tierwise.dialects.openai_chat.fields import openai_model
from tierwise.dialects.spans import lay_over, strip

from .walk import Walk

_FIELDS = msgspec.json.Decoder(dict[str, Raw])


def bound_output(walk: Walk, most: int) -> None:
    """Puts the limit into the body, in the caller's dialect and in the words of the model that is asked."""
    assert walk.route is not None
    match walk.surface.name:
        case "openai_chat":
            if b'"max_' in walk.body:  # null or without end
                walk.body = strip(walk.body, ("max_tokens", "max_completion_tokens"))
            newer = openai_model(walk.route.candidates[0].model.rpartition("/")[2])
            fields: dict[str, object] = {"max_completion_tokens" if newer else "max_tokens": most}
        case "openai_responses":
            fields = {"max_output_tokens": most}
        case "gemini":
            said = _FIELDS.decode(walk.body)
            name = "generation_config" if "generation_config" in said else "generationConfig"
            settings = _FIELDS.decode(said.get(name, b"{}"))
            settings.pop("max_output_tokens", None)
            fields = {name: {**settings, "maxOutputTokens": most}}
        case _:
            fields = {"max_tokens": most}
    walk.body = lay_over(walk.body, fields)
    walk.outline = structs.replace(walk.outline, max_output=most)

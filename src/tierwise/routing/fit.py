"""Fit: can this model serve this request at all?

Only what is known to be missing excludes: an ability of None is unknown and never does. A *misfit* is
certain. A *doubt* is a lack the dialect can work around, or a prompt and answer that together may pass
the context: the prompt's size is an estimate, and clients ask for the largest answer whatever the prompt.
A doubtful tier serves only when no other fits, and the reason says so.
"""

from __future__ import annotations

from ..errors import BadRequest
from ..nouns import Abilities, Outline, Task

NO_CHAT_TOOLS = "no tools over chat completions"
# A prompt estimated from its bytes may really be this much smaller (see Question.tokens), as a ratio.
_ESTIMATE, _AT_LEAST = 128, 100


def misfit(able: Abilities, outline: Outline, prompt_tokens: int) -> str:
    """Why a model with these abilities cannot serve the request, in a few words; "" when nothing known
    speaks against it.
    """
    if outline.images and able.vision is False:
        return "no vision"
    if outline.documents and able.documents is False:
        return "no documents"
    if outline.audio and able.audio is False:
        return "no audio"
    if able.tools is False and (outline.tools or outline.tool_loop):
        return "no tools"
    asked = outline.max_output
    if able.max_output is not None and asked is not None and asked > able.max_output:
        return f"output limit {able.max_output}, asked {asked}"
    if able.context is not None and prompt_tokens * _AT_LEAST // _ESTIMATE > able.context:
        return f"context {able.context}, the prompt needs about {prompt_tokens} tokens"
    return ""


def refuses_tools(able: Abilities, outline: Outline) -> bool:
    """Whether the model takes tools, but none over what its provider is spoken to in."""
    return able.chat_tools is False and outline.tools > 0


def refuse_longer(task: Task, outline: Outline) -> None:
    """Raises BadRequest where a request asks for a longer answer than its task allows."""
    most, asked = task.max_output_tokens, outline.max_output
    if most is not None and asked is not None and asked > most:
        raise BadRequest(
            f"Task {task.name!r} allows {most} output tokens, and {asked} were asked for.",
            "Ask for fewer, or raise the task's max_output_tokens.",
        )


def doubt(able: Abilities, outline: Outline, prompt_tokens: int) -> str:
    """Why another model would be the safer choice although this one is no misfit; "" when there is no
    doubt.
    """
    needed = prompt_tokens + (outline.max_output or 0)
    if able.context is not None and needed > able.context:
        return f"context {able.context}, needs about {needed} tokens"
    if outline.output_schema is not None and able.structured_output is False:
        return "no structured output"
    if outline.json and outline.tools and able.schema_beside_tools is False:
        return "no structured output beside tools"
    if outline.forced_tool and able.forced_tools is False:
        return "no forced tools"
    return ""

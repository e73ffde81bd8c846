"""instructor over both official SDKs. `python instructor_both.py PORT KEY` prints one JSON object."""

import json
import sys
from importlib.metadata import version
from typing import Literal

import anthropic
import instructor
import openai
from pydantic import BaseModel

port, key = sys.argv[1:]
MODEL = "anthropic/claude-haiku-4"


class Ticket(BaseModel):
    """A classified support ticket."""

    category: Literal["Billing", "Technical", "Account", "General"]
    reason: str


def chat(secret=key):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=secret, max_retries=0)


def claude(secret=key):
    return anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}/anthropic", api_key=secret, max_retries=0)


def exercise(patch, client, modes):
    seen = {}
    known = client()
    for mode in modes:
        ticket, raw = patch(known, mode=mode).chat.completions.create_with_completion(
            model=MODEL,
            max_tokens=300,
            response_model=Ticket,
            messages=[{"role": "user", "content": "I was charged twice for my subscription this month."}],
        )
        seen[mode.value] = ticket.model_dump()
        seen["usage"] = raw.usage.model_dump()

    *_, partial = patch(known, mode=modes[0]).chat.completions.create_partial(
        model=MODEL,
        max_tokens=300,
        response_model=Ticket,
        messages=[{"role": "user", "content": "I was charged twice for my subscription this month."}],
    )
    seen["partial"] = partial.model_dump()
    try:
        patch(client("wrong"), mode=modes[0]).chat.completions.create(
            model=MODEL, max_tokens=9, response_model=Ticket, messages=[{"role": "user", "content": "x"}]
        )
    except Exception as error:
        seen["wrong_key"] = str(error)
    return seen


Mode = instructor.Mode
print(
    json.dumps(
        {
            "versions": {"instructor": version("instructor")},
            "openai": exercise(instructor.from_openai, chat, [Mode.TOOLS, Mode.JSON_SCHEMA]),
            "anthropic": exercise(instructor.from_anthropic, claude, [Mode.ANTHROPIC_TOOLS]),
        }
    )
)

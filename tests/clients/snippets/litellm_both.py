"""LiteLLM as a client. `python litellm_both.py PORT KEY` prints one JSON object."""

import json
import sys
from importlib.metadata import version

import litellm
from pydantic import BaseModel

port, key = sys.argv[1:]
MODEL = "anthropic/claude-haiku-4"
TICKET = "I was charged twice for my subscription this month."
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
BASES = {"openai": f"http://127.0.0.1:{port}/v1", "anthropic": f"http://127.0.0.1:{port}/anthropic"}


class Capital(BaseModel):
    city: str
    population: int


def exercise(vendor):
    def ask(text, secret=key, **more):
        messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
        return litellm.completion(
            model=f"{vendor}/{MODEL}",
            api_base=BASES[vendor],
            api_key=secret,
            messages=messages,
            max_tokens=300,
            num_retries=0,
            **more,
        )

    seen = {}
    system = {"role": "system", "content": "Classify into: Billing, Technical, Account, or General."}
    plain = ask([system, {"role": "user", "content": TICKET}], temperature=0)
    seen["plain"] = plain.choices[0].message.content
    seen["usage"] = [plain.usage.prompt_tokens, plain.usage.completion_tokens]
    pieces, usage = [], None
    for chunk in ask("Tell me about refunds.", stream=True, stream_options={"include_usage": True}):
        pieces += [choice.delta.content or "" for choice in chunk.choices]
        usage = getattr(chunk, "usage", None) or usage
    seen["stream"], seen["stream_usage"] = "".join(pieces), usage.completion_tokens
    question = {"role": "user", "content": "Use get_weather in Lyon."}
    called = ask([question], tools=[TOOL]).choices[0].message
    call = called.tool_calls[0]
    seen["tool"] = [call.function.name, json.loads(call.function.arguments)]
    result = {"role": "tool", "tool_call_id": call.id, "content": "Rain, 12 degrees"}
    seen["after_tool"] = ask([question, called, result], tools=[TOOL]).choices[0].message.content
    seen["structured"] = json.loads(ask("Paris?", response_format=Capital).choices[0].message.content)
    try:
        ask("hello", secret="wrong")
    except Exception as error:
        seen["wrong_key"] = type(error).__name__
    return seen


print(
    json.dumps(
        {
            "versions": {"litellm": version("litellm")},
            "openai": exercise("openai"),
            "anthropic": exercise("anthropic"),
        }
    )
)

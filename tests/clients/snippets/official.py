"""Run by the client environments: the two snippets every user starts with, and what else the SDKs are used
for.

`python snippets.py PORT KEY` prints one JSON object. Only base URL and key differ from the vendors' own
examples.
"""

import json
import sys
from typing import Literal

import anthropic
import openai
from pydantic import BaseModel

port, key = sys.argv[1:]
TICKET = "I was charged twice for my subscription this month."
TOOL = {
    "name": "get_weather",
    "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Ticket(BaseModel):
    category: Literal["Billing", "Technical", "Account", "General"]
    reason: str


client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key)
claude = anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}/anthropic", api_key=key)
out = {"versions": {"openai": openai.__version__, "anthropic": anthropic.__version__}}

reply = client.chat.completions.create(
    model="anthropic/claude-haiku-4",
    messages=[
        {
            "role": "system",
            "content": "Classify the support ticket into: Billing, Technical, Account, or General.",
        },
        {"role": "user", "content": TICKET},
    ],
    temperature=0.0,
    max_tokens=50,
)
out["chat"] = reply.choices[0].message.content
out["chat_usage"] = [reply.usage.prompt_tokens, reply.usage.completion_tokens]

pieces, usage = [], None
for chunk in client.chat.completions.create(
    model="anthropic/claude-haiku-4",
    messages=[{"role": "user", "content": "Tell me about refunds."}],
    max_tokens=60,
    stream=True,
    stream_options={"include_usage": True},
):
    if chunk.choices:
        pieces.append(chunk.choices[0].delta.content or "")
    usage = chunk.usage or usage
out["chat_stream"] = "".join(pieces)
out["chat_stream_usage"] = usage.completion_tokens

called = client.chat.completions.create(
    model="anthropic/claude-haiku-4",
    messages=[{"role": "user", "content": "What is the weather in Lyon?"}],
    tools=[{"type": "function", "function": TOOL}],
    tool_choice="required",
    max_tokens=200,
)
call = called.choices[0].message.tool_calls[0]
out["chat_tool"] = [call.function.name, sorted(json.loads(call.function.arguments))]
after = client.chat.completions.create(
    model="anthropic/claude-haiku-4",
    messages=[
        {"role": "user", "content": "What is the weather in Lyon?"},
        called.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "Rain, 12 degrees"},
    ],
    tools=[{"type": "function", "function": TOOL}],
    max_tokens=200,
)
out["chat_after_tool"] = after.choices[0].message.content
parsed = client.chat.completions.parse(
    model="anthropic/claude-haiku-4",
    messages=[{"role": "user", "content": TICKET}],
    response_format=Ticket,
    max_tokens=200,
)
out["chat_parsed"] = parsed.choices[0].message.parsed.model_dump()


def ask():
    return claude.messages.create(
        model="anthropic/claude-haiku-4",
        max_tokens=100,
        system=[
            {
                "type": "text",
                "text": "You classify support tickets. " + "rule " * 5000,
                "cache_control": {"type": "ephemeral"},
            }
        ],
        messages=[{"role": "user", "content": TICKET}],
    )


first, second = ask(), ask()
out["messages"] = first.content[0].text
out["cache_write"] = first.usage.cache_creation_input_tokens
out["cache_read"] = second.usage.cache_read_input_tokens

with claude.messages.stream(
    model="anthropic/claude-haiku-4",
    max_tokens=60,
    messages=[{"role": "user", "content": "Tell me about refunds."}],
) as stream:
    out["messages_stream"] = "".join(stream.text_stream)
    final = stream.get_final_message()
out["messages_stream_stop"] = final.stop_reason
out["messages_stream_usage"] = final.usage.output_tokens

with claude.messages.stream(
    model="anthropic/claude-haiku-4",
    max_tokens=200,
    messages=[{"role": "user", "content": "What is the weather in Lyon?"}],
    tools=[{"name": TOOL["name"], "description": TOOL["description"], "input_schema": TOOL["parameters"]}],
    tool_choice={"type": "any"},
) as stream:
    used = stream.get_final_message()
block = next(block for block in used.content if block.type == "tool_use")
out["messages_tool"] = [block.name, sorted(block.input), used.stop_reason]
after = claude.messages.create(
    model="anthropic/claude-haiku-4",
    max_tokens=200,
    messages=[
        {"role": "user", "content": "What is the weather in Lyon?"},
        {"role": "assistant", "content": used.content},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": block.id, "content": "Rain, 12 degrees"}],
        },
    ],
    tools=[{"name": TOOL["name"], "description": TOOL["description"], "input_schema": TOOL["parameters"]}],
)
out["messages_after_tool"] = after.content[0].text
parsed = claude.messages.parse(
    model="anthropic/claude-haiku-4",
    max_tokens=200,
    messages=[{"role": "user", "content": TICKET}],
    output_format=Ticket,
)
out["messages_parsed"] = parsed.parsed_output.model_dump()

try:
    claude.with_options(max_retries=0).messages.create(
        model="nobody/knows-this", max_tokens=5, messages=[{"role": "user", "content": "x"}]
    )
except anthropic.NotFoundError as error:
    out["messages_unknown"] = error.body["error"]["type"]
try:
    openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="wrong").models.list()
except openai.AuthenticationError as error:
    out["chat_wrong_key"] = error.code
try:
    anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}/anthropic", api_key="wrong").models.list()
except anthropic.AuthenticationError as error:
    out["messages_wrong_key"] = error.body["error"]["type"]
out["models"] = sorted(model.id for model in client.models.list())
out["claude_models"] = sorted(model.id for model in claude.models.list())
print(json.dumps(out))

"""The official OpenAI SDK's Responses. `python openai_responses.py PORT KEY` prints one JSON object."""

import json
import sys
from typing import Literal

import openai
from pydantic import BaseModel

port, key = sys.argv[1:]
MODEL = "anthropic/claude-haiku-4"
TICKET = "I was charged twice for my subscription this month."
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Ticket(BaseModel):
    category: Literal["Billing", "Technical", "Account", "General"]
    reason: str


client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0)
out = {"versions": {"openai": openai.__version__}}

plain = client.responses.create(
    model=MODEL,
    instructions="Classify the support ticket into: Billing, Technical, Account, or General.",
    input=TICKET,
    max_output_tokens=50,
    store=False,
)
out["plain"], out["status"] = plain.output_text, plain.status
out["usage"] = [plain.usage.input_tokens, plain.usage.output_tokens]

kinds = []
with client.responses.stream(
    model=MODEL, input="Tell me about refunds.", max_output_tokens=300, store=False
) as stream:
    for event in stream:
        kinds.append(event.type)
    final = stream.get_final_response()
out["stream"], out["stream_usage"] = final.output_text, final.usage.output_tokens
out["stream_kinds"] = list(dict.fromkeys(kinds))

question = [{"role": "user", "content": "Use get_weather in Lyon."}]
called = client.responses.create(model=MODEL, input=question, tools=[TOOL], store=False)
call = next(item for item in called.output if item.type == "function_call")
out["tool"] = [call.name, json.loads(call.arguments)]
result = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain, 12 degrees"}
after = client.responses.create(
    model=MODEL, input=[*question, *called.output, result], tools=[TOOL], store=False
)
out["after_tool"] = after.output_text
with client.responses.stream(model=MODEL, input=question, tools=[TOOL], store=False) as stream:
    streamed = stream.get_final_response()
call = next(item for item in streamed.output if item.type == "function_call")
out["streamed_tool"] = [call.name, json.loads(call.arguments)]

parsed = client.responses.parse(model=MODEL, input=TICKET, text_format=Ticket, store=False)
out["structured"] = parsed.output_parsed.model_dump()
try:
    client.with_options(api_key="wrong").responses.create(model=MODEL, input="x")
except openai.AuthenticationError as error:
    out["wrong_key"] = error.code
try:
    client.responses.create(model="nobody/knows-this", input="x")
except openai.NotFoundError as error:
    out["unknown"] = error.code
print(json.dumps(out))

"""google-genai. `python google_genai.py PORT KEY` prints one JSON object."""

import json
import sys
from importlib.metadata import version
from typing import Literal

from google import genai
from google.genai import errors, types
from pydantic import BaseModel

port, key = sys.argv[1:]
MODEL = "anthropic/claude-haiku-4"
TICKET = "I was charged twice for my subscription this month."


class Ticket(BaseModel):
    category: Literal["Billing", "Technical", "Account", "General"]
    reason: str


def get_weather(city: str) -> str:
    """Weather of a city"""
    return f"Rain in {city}, 12 degrees"


def client(secret):
    return genai.Client(
        api_key=secret, http_options=types.HttpOptions(base_url=f"http://127.0.0.1:{port}/gemini")
    )


gemini = client(key)
models = gemini.models
out = {"versions": {"google-genai": version("google-genai")}}
system = "Classify the support ticket into: Billing, Technical, Account, or General."
plain = models.generate_content(
    model=MODEL,
    contents=TICKET,
    config=types.GenerateContentConfig(system_instruction=system, max_output_tokens=50, temperature=0.0),
)
out["plain"] = plain.text
out["usage"] = [plain.usage_metadata.prompt_token_count, plain.usage_metadata.candidates_token_count]
chunks = list(models.generate_content_stream(model=MODEL, contents="Tell me about refunds."))
out["stream"] = "".join(chunk.text or "" for chunk in chunks)
out["stream_usage"] = chunks[-1].usage_metadata.candidates_token_count
out["stream_end"] = chunks[-1].candidates[0].finish_reason

tool = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="Weather of a city",
            parameters_json_schema={
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        )
    ]
)
config = types.GenerateContentConfig(tools=[tool])
question = types.Content(role="user", parts=[types.Part(text="Use get_weather in Lyon.")])
called = models.generate_content(model=MODEL, contents=[question], config=config)
call = called.function_calls[0]
out["tool"] = [call.name, call.args]
answer = types.Part.from_function_response(name=call.name, response={"result": "Rain, 12 degrees"})
after = models.generate_content(
    model=MODEL,
    contents=[question, called.candidates[0].content, types.Content(role="user", parts=[answer])],
    config=config,
)
out["after_tool"] = after.text
streamed = list(models.generate_content_stream(model=MODEL, contents=[question], config=config))
out["streamed_tool"] = [call.args for chunk in streamed for call in chunk.function_calls or ()]
automatic = models.generate_content(
    model=MODEL,
    contents="Use get_weather in Lyon.",
    config=types.GenerateContentConfig(tools=[get_weather]),
)
out["automatic_tool"] = automatic.text
parsed = models.generate_content(
    model=MODEL,
    contents=TICKET,
    config=types.GenerateContentConfig(response_mime_type="application/json", response_schema=Ticket),
)
out["structured"] = parsed.parsed.model_dump()
try:
    stranger = client("wrong")
    stranger.models.generate_content(model=MODEL, contents="x")
except errors.ClientError as error:
    out["wrong_key"] = [error.code, error.status]
try:
    models.generate_content(model="nobody/knows-this", contents="x")
except errors.ClientError as error:
    out["unknown"] = [error.code, error.status]
out["models"] = sorted(model.name for model in models.list())
print(json.dumps(out))

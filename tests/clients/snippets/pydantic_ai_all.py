"""pydantic-ai with each vendor's provider. `python pydantic_ai_all.py PORT KEY` prints one JSON object."""

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Literal

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

port, key = sys.argv[1:]
MODEL = "anthropic/claude-haiku-4"
TICKET = "I was charged twice for my subscription this month."
HOST = f"http://127.0.0.1:{port}"


class Ticket(BaseModel):
    """A classified support ticket."""

    category: Literal["Billing", "Technical", "Account", "General"]
    reason: str


def model(surface, secret):
    if surface == "openai":
        return OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{HOST}/v1", api_key=secret))
    if surface == "responses":
        return OpenAIResponsesModel(MODEL, provider=OpenAIProvider(base_url=f"{HOST}/v1", api_key=secret))
    if surface == "anthropic":
        return AnthropicModel(MODEL, provider=AnthropicProvider(base_url=f"{HOST}/anthropic", api_key=secret))
    return GoogleModel(MODEL, provider=GoogleProvider(base_url=f"{HOST}/gemini", api_key=secret))


async def exercise(surface):
    seen = {}
    known = model(surface, key)
    plain = await Agent(known, system_prompt="Classify into: Billing, Technical, Account, or General.").run(
        TICKET
    )
    usage = plain.usage
    usage = usage() if callable(usage) else usage
    seen["plain"], seen["usage"] = plain.output, [usage.input_tokens, usage.output_tokens]
    async with Agent(known).run_stream("Tell me about refunds.") as result:
        seen["stream"] = "".join([piece async for piece in result.stream_text(delta=True)])
    agent = Agent(known)
    given = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Weather of a city"""
        given.append(city)
        return f"Rain in {city}, 12 degrees"

    seen["after_tool"] = (await agent.run("Use get_weather in Lyon.")).output
    seen["tool"] = given
    seen["structured"] = (await Agent(known, output_type=Ticket).run(TICKET)).output.model_dump()
    try:
        await Agent(model(surface, "wrong")).run("hello")
    except Exception as error:
        seen["wrong_key"] = [type(error).__name__, getattr(error, "status_code", None)]
    return seen


async def main():
    seen = {surface: await exercise(surface) for surface in ("openai", "responses", "anthropic", "gemini")}
    print(json.dumps({"versions": {"pydantic-ai-slim": version("pydantic-ai-slim")}, **seen}))


asyncio.run(main())

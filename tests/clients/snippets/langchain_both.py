"""LangChain: ChatOpenAI and ChatAnthropic. `python langchain_both.py PORT KEY` prints one JSON object."""

import json
import sys
from importlib.metadata import version
from typing import Literal

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

port, key = sys.argv[1:]
MODEL = "anthropic/claude-haiku-4"
TICKET = "I was charged twice for my subscription this month."


class Ticket(BaseModel):
    """A classified support ticket."""

    category: Literal["Billing", "Technical", "Account", "General"]
    reason: str


@tool
def get_weather(city: str) -> str:
    """Weather of a city"""
    return f"Rain in {city}, 12 degrees"


def openai_model(secret=key):
    return ChatOpenAI(
        model=MODEL, base_url=f"http://127.0.0.1:{port}/v1", api_key=secret, temperature=0, max_retries=0
    )


def claude_model(secret=key):
    return ChatAnthropic(
        model=MODEL,
        base_url=f"http://127.0.0.1:{port}/anthropic",
        api_key=secret,
        temperature=0,
        max_tokens=300,
        max_retries=0,
    )


def exercise(make):
    model = make()
    seen = {}
    plain = model.invoke(
        [("system", "Classify into: Billing, Technical, Account, or General."), ("user", TICKET)]
    )
    seen["plain"], seen["usage"] = plain.text, plain.usage_metadata
    parts = list(model.stream("Tell me about refunds."))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    seen["stream"], seen["pieces"], seen["stream_usage"] = whole.text, len(parts), whole.usage_metadata
    asked = [HumanMessage("Use get_weather in Lyon.")]
    bound = model.bind_tools([get_weather])
    called = bound.invoke(asked)
    seen["tool"] = [called.tool_calls[0]["name"], called.tool_calls[0]["args"]]
    told = [get_weather.invoke(call) for call in called.tool_calls]
    seen["after_tool"] = bound.invoke([*asked, called, *told]).text
    streamed = None
    for part in bound.stream(asked):
        streamed = part if streamed is None else streamed + part
    seen["streamed_tool"] = streamed.tool_calls[0]["args"]
    seen["structured"] = model.with_structured_output(Ticket).invoke(TICKET).model_dump()
    try:
        make("wrong").invoke("hello")
    except Exception as error:
        seen["wrong_key"] = type(error).__name__
    return seen


packages = ("langchain-core", "langchain-openai", "langchain-anthropic")
print(
    json.dumps(
        {
            "versions": {name: version(name) for name in packages},
            "openai": exercise(openai_model),
            "anthropic": exercise(claude_model),
        }
    )
)

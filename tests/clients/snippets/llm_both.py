"""The `llm` command and its Anthropic plug-in. `python llm_both.py PORT KEY` prints one JSON object."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from click.testing import CliRunner

port, key = sys.argv[1:]
MODELS = f"""
- model_id: through-tierwise
  model_name: anthropic/claude-haiku-4
  api_base: http://127.0.0.1:{port}/v1
  api_key_name: tierwise
  supports_tools: true
  supports_schema: true
"""
WEATHER = (
    "def get_weather(city: str) -> str:\n    'Weather of a city'\n    return f'Rain in {city}, 12 degrees'"
)
folder = TemporaryDirectory()
os.environ |= {"LLM_USER_PATH": folder.name, "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}/anthropic"}
Path(folder.name, "extra-openai-models.yaml").write_text(MODELS)

from llm.cli import cli  # noqa: E402 (it reads its folder when imported)


def run(*arguments):
    done = CliRunner().invoke(cli, list(arguments), env={"LLM_USER_PATH": folder.name})
    return done.exit_code, done.output.strip()


def last_usage():
    _, logged = run("logs", "--json", "-n", "1")
    entry = json.loads(logged)[0]
    return [entry["input_tokens"], entry["output_tokens"]]


def exercise(model, key_name):
    run("keys", "set", key_name, "--value", key)
    seen = {}
    ask = ("prompt", "-m", model)
    _, seen["stream"] = run(*ask, "Tell me about refunds.")
    seen["stream_usage"] = last_usage()
    _, seen["plain"] = run(*ask, "--no-stream", "-o", "max_tokens", "300", "Tell me about refunds.")
    seen["usage"] = last_usage()
    _, seen["after_tool"] = run(*ask, "--functions", WEATHER, "Use get_weather in Lyon.")
    _, structured = run(*ask, "--schema", "city, population int", "Paris?")
    seen["structured"] = structured
    run("keys", "set", key_name, "--value", "wrong")
    seen["wrong_key"] = run(*ask, "hello")
    return seen


print(
    json.dumps(
        {
            "versions": {name: version(name) for name in ("llm", "llm-anthropic")},
            "openai": exercise("through-tierwise", "tierwise"),
            "anthropic": exercise("claude-haiku-4.5", "anthropic"),
        }
    )
)

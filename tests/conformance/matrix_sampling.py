"""The matrix: sampling and stopping."""

from __future__ import annotations

from conformance.matrix import GONE, Cell, Row, carried, changed, loss
from conformance.matrix_words import config

ALL = dict.fromkeys("CRAG", carried)
STOPS = ["s1", "s2", "s3", "s4", "s5", "s6"]


def only(codes: str, *names: str, how: str = "") -> dict[str, Cell]:
    """Carried to `codes`, lost elsewhere."""
    return {code: carried if code in codes else loss(*names, how=how) for code in "CRAG"}


def reasons(*names: str) -> dict[str, Cell]:
    """Lost at OpenAI's models, also within its dialects."""
    lost = loss(*names, how="the model reasons")
    return {**dict.fromkeys("CR", lost), "C>C": lost, "R>R": lost}


SAMPLING = [
    Row(
        "stop sequences",
        {"C": {"stop": ["END"]}, "A": {"stop_sequences": ["END"]}, "G": config(stopSequences=["END"])},
        only("CAG", "stop.sequences"),
    ),
    Row(
        "more than 4 stop sequences",
        {"C": {"stop": STOPS}, "A": {"stop_sequences": STOPS}, "G": config(stopSequences=STOPS)},
        {
            "C": changed("the first 4", {"stop": STOPS[:4]}, "stop.more_than_4"),
            "C>C": changed("the first 4", {"stop": STOPS[:4]}, "stop.more_than_4"),
            "R": loss("stop.sequences"),
            "A": carried,
            "G": changed("the first 5", config(stopSequences=STOPS[:5]), "stop.more_than_5"),
            "G>G": carried,
        },
    ),
    Row(
        "temperature",
        {
            "C": {"temperature": 0.3},
            "R": {"temperature": 0.3},
            "A": {"temperature": 0.3},
            "G": config(temperature=0.3),
        },
        {"A": carried, "G": carried, **reasons("sampling.temperature")},
    ),
    Row(
        "temperature, thinking off",
        {
            "C": {"temperature": 0.3, "reasoning_effort": "none"},
            "R": {"temperature": 0.3, "reasoning": {"effort": "none"}},
            "A": {"temperature": 0.3, "thinking": {"type": "disabled"}},
        },
        {
            **ALL,
            "G": changed(
                "as the least level",
                config(temperature=0.3, thinkingConfig={"thinkingLevel": "LOW"}),
                "thinking.mode",
            ),
        },
    ),
    Row(
        "temperature above 1",
        {"C": {"temperature": 1.5}, "R": {"temperature": 1.5}, "G": config(temperature=1.5)},
        {
            "A": changed("as 1", {"temperature": 1}, "sampling.temperature_range"),
            "G": carried,
            **reasons("sampling.temperature"),
        },
    ),
    Row(
        "top_p",
        {"C": {"top_p": 0.9}, "R": {"top_p": 0.9}, "A": {"top_p": 0.9}, "G": config(topP=0.9)},
        {"A": carried, "G": carried, **reasons("sampling.top_p")},
    ),
    Row(
        "top_k",
        {"C": {"top_k": 7}, "A": {"top_k": 7}, "G": config(topK=7)},
        {**only("AG", "sampling.top_k"), "C>C": loss("sampling.top_k", how="OpenAI's models take none")},
    ),
    Row("seed", {"C": {"seed": 7}, "G": config(seed=7)}, only("CG", "sampling.seed")),
    Row(
        "frequency and presence penalties",
        {
            "C": {"frequency_penalty": 0.5, "presence_penalty": 0.25},
            "G": config(frequencyPenalty=0.5, presencePenalty=0.25),
        },
        only("CG", "sampling.frequency_penalty", "sampling.presence_penalty"),
    ),
    Row("logit_bias", {"C": {"logit_bias": {"50256": -100}}}, only("C", "sampling.logit_bias")),
    Row("n > 1", {"C": {"n": 2}, "G": config(candidateCount=2)}, only("CG", "sampling.n")),
    Row(
        "log probabilities asked for",
        {
            "C": {"logprobs": True, "top_logprobs": 3},
            "R": {"include": ["message.output_text.logprobs"], "top_logprobs": 3},
            "G": config(responseLogprobs=True, logprobs=3),
        },
        {
            **only("G", "sampling.logprobs", "sampling.top_logprobs"),
            **reasons("sampling.logprobs", "sampling.top_logprobs"),
            "R>G": changed("as a flag", config(responseLogprobs=True, logprobs=3)),
        },
    ),
    Row(
        "output limit",
        {
            "C": {"max_completion_tokens": 77},
            "R": {"max_output_tokens": 77},
            "A": {"max_tokens": 77},
            "G": config(maxOutputTokens=77),
        },
        ALL,
    ),
    Row(
        "output limit below 16",
        {"C": {"max_completion_tokens": 5}, "A": {"max_tokens": 5}, "G": config(maxOutputTokens=5)},
        {**ALL, "R": changed("as 16", {"max_output_tokens": 16}, "max_output.least")},
    ),
    Row(
        "output limit unsaid",
        {
            "C": {"max_completion_tokens": None},
            "R": {"max_output_tokens": None},
            "G": config(maxOutputTokens=None),
        },
        {
            "C": changed("unsaid", {"max_completion_tokens": GONE}),
            "R": changed("unsaid", {"max_output_tokens": GONE}),
            "A": changed("the model's own limit", {"max_tokens": 64000}, "max_output.assumed"),
            "G": changed("unsaid", {"generationConfig": GONE}),
            "C>C": changed("unsaid", {"max_completion_tokens": GONE}),
            "R>R": changed("unsaid", {"max_output_tokens": GONE}),
            "G>G": changed("unsaid", {"generationConfig": GONE}),
        },
    ),
]

"""The project's nouns, as frozen structs. Everything above this floor speaks in these words."""

from .answer import (
    Answer,
    BlockStart,
    BlockStop,
    Choice,
    Cited,
    Delta,
    Ended,
    Event,
    Extra,
    Failed,
    Finished,
    FinishReason,
    Loss,
    Ping,
    Signed,
    Started,
    Usage,
    UsageSeen,
)
from .ask import (
    Ask,
    CacheMark,
    Citation,
    DialectName,
    Media,
    Message,
    Opaque,
    Outline,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Sampling,
    Stored,
    Summary,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChange,
    ToolChoice,
    ToolResult,
)
from .catalog import (
    Abilities,
    Catalog,
    Fact,
    Ladder,
    Model,
    Price,
    PriceStep,
    Provider,
    Source,
    Tier,
)
from .policy import Bar, Candidate, Policy, Route, Rule, Skipped, Task, TierHealth
from .record import OUTPUT_LIMIT, SHADOW, Budget, Caller, Close, Key, Open, Outcome, Prefixed
from .verdict import Case, Counts, Decision, Score, Suite, Trial, Verdict

__all__ = [
    "OUTPUT_LIMIT", "SHADOW", "Abilities", "Answer", "Ask", "Bar", "BlockStart", "BlockStop", "Budget",
    "CacheMark", "Caller", "Candidate", "Case", "Catalog", "Choice", "Citation", "Cited", "Close", "Counts",
    "Decision", "Delta", "DialectName", "Ended", "Event", "Extra", "Fact", "Failed", "FinishReason",
    "Finished", "Key", "Ladder", "Loss", "Media", "Message", "Model", "Opaque", "Open", "Outcome",
    "Outline", "OutputFormat", "Part", "Ping", "Policy", "Prefixed", "Price", "PriceStep", "Provider",
    "Reasoning", "Refusal", "Route", "Rule", "Sampling", "Score", "Signed", "Skipped", "Source",
    "Started", "Stored", "Suite", "Summary", "Task", "Text", "Thinking", "Tier", "TierHealth", "Tool",
    "ToolCall", "ToolChange", "ToolChoice", "ToolResult", "Trial", "Usage", "UsageSeen", "Verdict",
]  # fmt: skip

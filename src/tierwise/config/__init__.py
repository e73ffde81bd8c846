"""Configuration: tierwise.toml or the environment → Settings; the built-in facts; policy.toml read and
written.

Begin at `rows` (every key there is) and `load`; `settings` is what comes of it. Facts with their sources:
published.json, abilities.json, prices.json. Beside the policy: `policyfile`, `samplefile`, `shadowfile`.
Other gateways' files: `imports`.
"""

from .facts import Published, PublishedFacts, WorkloadRow, family_of, published
from .library import Entry, Library, library
from .listening import announce, cannot_listen
from .load import DEFAULT_FILE, load
from .models import model_at, model_for
from .policyfile import (
    RuleBlock,
    VerdictBlock,
    changed_since,
    merge_policy,
    one_writer,
    policy_text,
    read_blocks,
    read_policy,
    settings_text,
    short_of,
    tier_text,
    write_policy,
)
from .prior import PRIOR
from .providers import VENDORS
from .recorded import model_of_vendor, model_recorded, prices_recorded
from .settings import LOOPBACK, Batches, Secrets, Server, Settings

__all__ = [
    "DEFAULT_FILE", "LOOPBACK", "PRIOR", "VENDORS", "Batches", "Entry", "Library", "Published",
    "PublishedFacts", "RuleBlock", "Secrets", "Server", "Settings", "VerdictBlock", "WorkloadRow",
    "announce", "cannot_listen", "changed_since", "family_of", "library", "load", "merge_policy", "model_at",
    "model_for", "model_of_vendor", "model_recorded", "one_writer", "policy_text", "prices_recorded",
    "published", "read_blocks", "read_policy", "settings_text", "short_of", "tier_text", "write_policy",
]  # fmt: skip

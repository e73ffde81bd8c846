"""tierwise: a self-hosted LLM gateway with a laboratory and a ledger."""

__version__ = "0.1.0"

"""What the outside is told: counters, spans, log lines, notices of budgets. Never a prompt or an answer."""

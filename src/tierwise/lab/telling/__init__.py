"""What an evaluation says: results in words, charts, reports and the rule it writes."""

"""What calls have in common at their beginning, and what that does to a provider's prompt cache."""

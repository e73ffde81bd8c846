"""Examples as Cases: files, prompts, kept calls."""

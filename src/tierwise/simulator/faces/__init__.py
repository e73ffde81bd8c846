"""The dialects the simulator speaks, each written by its own small code."""

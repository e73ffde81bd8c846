"""Sums of the rows by hour, day and 32 days, the same for both stores: made, read, checked."""

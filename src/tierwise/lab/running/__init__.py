"""A run: each missing Trial asked at the pace its tier stands and kept as it ends; goes on after a crash."""

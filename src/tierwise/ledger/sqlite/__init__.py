"""The ledger in one SQLite file: one process writes it, any process reads it."""

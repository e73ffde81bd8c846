"""The ledger in Postgres: any number of replicas write it and share its budgets exactly."""

"""A share of live traffic, kept or asked of another tier beside its reply, so that a rule can be checked."""

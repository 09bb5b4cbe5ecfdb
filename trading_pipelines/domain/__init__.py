"""Nouns of trading: contracts, orders, positions, decisions, table schemas, parameters and errors. Imports nothing of ours."""

"""Nouns of trading: contracts, orders, positions, decisions, tables, parameters, errors."""

"""Nouns of trading: contracts, orders, positions, decisions, tables, parameters, errors; imports none of ours."""

"""Calendars, chains, data quality and option pricing."""

"""Combos, their prices, how they fill, and how an order lives."""

"""Limits and sizes: what an order may be."""

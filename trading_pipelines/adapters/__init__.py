"""Vendors and storage behind our ports."""

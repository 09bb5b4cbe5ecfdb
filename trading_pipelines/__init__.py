"""Automated options and futures trading for one Interactive Brokers account, as Dagster pipelines."""

"""The Dagster shell: assets, checks, schedules and sensors, each one call into the core or a workflow."""

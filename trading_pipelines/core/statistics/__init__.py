"""What is computed from snapshots and history: volatility, options, futures, regime."""

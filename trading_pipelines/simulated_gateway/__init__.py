"""A simulated Interactive Brokers Gateway that speaks the TWS text protocol to unmodified clients."""

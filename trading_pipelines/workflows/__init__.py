"""Steps that drive ports."""

"""From a chain and parameters to legs, with what they cost and may lose."""

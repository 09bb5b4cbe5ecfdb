"""Exit and entry rules, evaluated frame-wise; the first that fires wins."""

"""Pure functions: frames in, frames out; no IO, no clock, no randomness."""

"""Timings and statistical proofs. Each command prints one JSON line last; none is a test."""

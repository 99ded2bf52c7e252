"""Tracking of runs in Weights & Biases, from a process of its own: no network, key or service can stop a run."""

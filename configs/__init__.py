"""Hydra groups, their schemas, and what a config builds."""

"""Promotion: gates that a trained policy passes to replace the one before it, and the line of those that did."""

"""Policies beside a venue: what they see and do is what training made of them, and nothing is sent."""

"""Orders at real venues: what is signed, sent, answered and kept account of."""

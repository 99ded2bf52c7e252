"""Real orders: what is sent, what the venue says became of it, and what is left of the money. Off unless told twice."""

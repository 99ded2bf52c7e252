"""What a person sees of a session: checks, metrics, traces, a page and a terminal view, all of one `View`."""

"""Many episodes of a policy, kept as exact histograms: tails with intervals. See docs/montecarlo.md."""

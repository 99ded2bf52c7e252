"""Which scenario next: a phase is a distribution over scenario rows."""

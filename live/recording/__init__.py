"""Recordings of a venue's frames: a raw log that survives a crash, and tapes made of it. See docs/recording.md."""

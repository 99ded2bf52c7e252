"""The venues' wire formats as pure functions: frames to tape rows, and rows to frames. No socket, no clock, no secret.

A *reader* takes frames in the order of their arrival and gives EVENT rows; live adapters, the recorder and importers of
captured frames use the same one. A *writer* is its inverse: it tells a market's events as the venue would.
"""

"""Market mechanics of prediction markets: books, matching, fills, fees, accounts and settlement.

The inner ring is NumPy and Numba. Nothing here knows about Gymnasium, torch, configuration files, the network
or the wall clock.
"""

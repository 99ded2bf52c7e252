"""Fake venues: Kalshi's and Polymarket's wire formats over simulated or recorded markets, on loopback only.

They are what live mode is tried with, without an account, and what adapters and order managers are tested against. The
venues themselves are sans-IO (frames and requests in, frames and answers out, on an injected clock); ``server`` puts
them on sockets. ``python -m live.fake kalshi`` is the command line.
"""

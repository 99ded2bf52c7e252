"""A slow, obvious venue in plain Python: what the engine must agree with, to the micro-dollar.

Dicts, lists, whole numbers and fractions; one environment at a time; books by price and not by level; totals computed
when they are asked for and never kept. It shares nothing with ``sim`` but the codes of ``sim.types``.
"""

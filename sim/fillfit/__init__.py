"""Passive fills measured on recordings: hypothetical orders on tapes, and a small model of who gets filled.

* :mod:`sim.fillfit.hypothetical` places orders that nobody sent and follows each by the queue rule;
* :mod:`sim.fillfit.prints` splits a level's drop into trade and cancel where a feed has no trades;
* :mod:`sim.fillfit.features` is what was known at entry, :mod:`sim.fillfit.model` a logistic regression on it;
* :mod:`sim.fillfit.report` judges it on days it has not seen; :mod:`sim.fillfit.table` holds the fitted coefficients;
* :mod:`sim.fillfit.markouts` measures adverse selection, of a real maker and of a reference quoter.

``python -m sim.fillfit DATA... --out FOLDER`` is the command line; see docs/fill-model.md.
"""

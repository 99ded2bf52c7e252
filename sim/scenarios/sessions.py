"""Sessions of a scenario table, played without us and written down as events."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim.scenarios.facts import Fact
from sim.scenarios.portfolio import single
from sim.scenarios.record import record
from sim.scenarios.recordings import facts_of_traces, traces_as
from sim.scenarios.tables import ScenarioTable, TableRow, rows_of
from sim.scenarios.trace import Trace

_BEYOND_S = 2.0  # a session opens after one second


def play(table: ScenarioTable, seed: int, times: int = 1) -> list[np.ndarray]:
    """EVENT arrays of whole sessions, ``times`` of each of the table's rows, copies and mirror images.

    Raises ValueError for times below 1, and for rows that :func:`sim.scenarios.record.record` refuses.
    """
    if times < 1:
        raise ValueError(f"play: times = {times}; expected at least 1")
    rows = np.tile(rows_of(table), times)
    return record(rows, float(rows["life_s"].max()) + _BEYOND_S, seed, portfolio=single(table.place))


class Sessions:
    """Traces of a table's sessions, kept by row: a trial that turns one row records only that one."""

    def __init__(self, table: ScenarioTable, seed: int) -> None:
        self.table = table
        self.seed = seed
        self.traces = [self._recorded(index, row) for index, row in enumerate(table.rows)]

    def facts(self, changed: Mapping[int, TableRow]) -> dict[str, Fact]:
        """Facts of all sessions with some rows ``changed``."""
        parts = [self._recorded(i, changed[i]) if i in changed else kept for i, kept in enumerate(self.traces)]
        pooled = {source: [one for part in parts for one in part[source]] for source in parts[0]}
        return facts_of_traces(self.table.set, pooled)

    def keep(self, changed: Mapping[int, TableRow]) -> None:
        """Go on with some rows ``changed``."""
        rows = tuple(changed.get(index, row) for index, row in enumerate(self.table.rows))
        self.table = self.table._replace(rows=rows)
        for index, row in changed.items():
            self.traces[index] = self._recorded(index, row)

    def _recorded(self, index: int, row: TableRow) -> dict[int, list[Trace]]:
        only = self.table._replace(rows=(row,))
        return traces_as(self.table.set, play(only, self.seed + 1000 * index))

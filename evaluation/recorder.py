"""Copies what an environment shows into `Episodes`, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.shield import CRITICAL
from evaluation.episodes import LANE_PATHS, PATHS, PER_EPISODE, PER_LANE, Episodes
from evaluation.linked import SENT, Linked
from sim.types import DO_PLACE, FILL, GTC, PAIR_UUSD, PX_ONE, SETTLED

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv

_FIRST_STEPS = 64  # paths start with room for this many and double


class Recorder:
    """Copies what the engine shows into the place, and the lanes, of each environment's running episode."""

    def __init__(self, env: TradingVectorEnv, plan: np.ndarray) -> None:
        self.env, self.state, self.plan = env, env.engine.state, plan
        self.round = np.zeros(len(plan), np.int64)  # episodes begun by each environment
        self.place = np.full(len(plan), -1)  # of the running episode
        self.t = np.zeros(len(plan), np.int64)
        self.width = env.engine.num_markets
        count = int(plan.max()) + 1
        lanes = count * self.width
        costs = tuple(env.spec_sheet["costs"])
        self.cost_names, self.action_names = costs, action_names(env.table.listed)
        markets = [tape.header.markets[0].id for tape in env.engine.scenario.tapes]
        self.market_names = tuple(dict.fromkeys(markets))
        # by tape; the last entry is for no tape, -1
        self.market_of = np.array([*(self.market_names.index(name) for name in markets), -1])
        self.one: dict[str, np.ndarray] = {name: np.zeros(count, np.int64) for name in PER_EPISODE}
        self.one |= {name: np.zeros(lanes, np.int64) for name in PER_LANE}
        self.interventions = np.zeros(count, np.int64) if env.limits is not None else None
        self.tripped = np.zeros(count, np.bool_)
        self.costs = np.zeros((count, len(costs)))
        # time first: environments in step then write next to each other
        self.paths = {
            name: np.zeros((_FIRST_STEPS + 1, count if name in PATHS else lanes), _PATH_TYPES.get(name, np.int64))
            for name in (*PATHS, *LANE_PATHS)
        }
        self.action = np.full((_FIRST_STEPS, lanes), -1, np.int16)
        self.fills: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.linked = len(env.engine.world.links.packages) > 0
        self.sent: list[np.ndarray] = [np.zeros(0, SENT)]

    @property
    def playing(self) -> np.ndarray:
        """``(N,)`` bool: environments inside a wanted episode."""
        return self.place >= 0

    def waiting(self) -> np.ndarray:
        """``(N,)`` bool: environments with a wanted episode still to begin."""
        more = self.round < self.plan.shape[1]
        at = np.minimum(self.round, self.plan.shape[1] - 1)
        return more & (self.plan[np.arange(len(self.plan)), at] >= 0)

    def begin(self, mask: np.ndarray) -> None:
        """Environments in ``mask`` were reset: their episode starts."""
        env = np.flatnonzero(mask)
        self.place[env] = place = self.plan[env, self.round[env]]
        self.round[env] += 1
        self.t[env] = 0
        account, tape = self.state.account, self.state.market["tape"][:: self.width]
        for name in ("number", "episode", "row", "start_ns"):
            self.one[name][place] = account[name][env]
        self.one["tape"][place] = tape[env]
        self.one["slot"][place] = env
        self.one["market"][place] = self.market_of[tape[env]]
        self.one["start_uusd"][place] = account["equity_uusd"][env]
        self._record_paths(env)

    def _rows(self, index: np.ndarray) -> np.ndarray:
        """Rows of the markets of environments, or the lanes of episodes, one after the other."""
        return (index[:, None] * self.width + np.arange(self.width)).ravel()

    def before(self) -> None:
        """A step is about to be taken: when its orders go out, from which number on, and what they will be charged."""
        if self.linked:
            self._ns, self._first_id = self.state.account["now_ns"].copy(), self.state.account["next_id"].copy()
            self._fee = self.state.market["fee"].reshape(-1, self.width).copy()

    def step(self, actions: np.ndarray | None, info: dict[str, Any]) -> None:
        """One step of the batch is over; ``actions`` None = orders of its own."""
        env = np.flatnonzero(self.playing)
        place = self.place[env]
        if self.t[env].max() == len(self.action):
            self._grow()
        if actions is not None:
            self.action[np.repeat(self.t[env], self.width), self._rows(place)] = actions[env].ravel()
        account = self.state.account
        self.one["messages"][place] += account["n_messages"][env]
        self.one["rejects"][place] += account["n_rejects"][env]
        self.one["reward_uusd"][place] += info["reward_uusd"][env]
        self.costs[place] += info["costs"][env]
        if self.interventions is not None:
            self.interventions[place] += np.count_nonzero(info["shield_reason"][env], axis=(1, 2))
            self.tripped[place] |= info["regime"][env] == CRITICAL
        self._record_fills(env)
        if self.linked:
            self._record_orders(env)
        self.t[env] += 1
        self._record_paths(env)

    def finish(self, over: np.ndarray) -> None:
        """Episodes of environments in ``over`` ended with the step just recorded."""
        env = np.flatnonzero(over)
        place = self.place[env]
        slots, lanes = self._rows(env), self._rows(place)
        account, market, position = self.state.account[env], self.state.market[slots], self.state.position[slots]
        settled = market["status"] == SETTLED
        mid2 = market["mid2_px"].astype(np.int64)
        value = (position["yes_qty"] * mid2 + position["no_qty"] * (2 * PX_ONE - mid2)) // 2
        one = self.one
        one["steps"][place] = self.t[env]
        one["final_uusd"][place] = account["equity_uusd"]
        one["cash_uusd"][place] = self.state.pool["cash_uusd"][env].sum(axis=1)
        one["fees_uusd"][place] = self.state.pool["fees_uusd"][env].sum(axis=1)
        one["sent_qty"][place] = account["sent_qty"]
        left = value - position["yes_cost_uusd"] - position["no_cost_uusd"]
        one["unrealised_uusd"][place] = left.reshape(-1, self.width).sum(axis=1)
        one["settled"][lanes] = settled
        one["ruined"][place] = account["ruined"]
        one["payout_px"][lanes] = np.where(settled, market["payout_px"], -1)
        one["converted_qty"][lanes] = position["converted_qty"]
        sets = self.env.engine.world.sets
        leaders = position["converted_qty"].reshape(-1, self.width)[:, sets.members[sets.sets["first"]]]
        one["conversion_uusd"][place] = PAIR_UUSD * leaders.sum(axis=1)  # all markets of a set convert alike
        self.place[env] = -1

    def episodes(self) -> Episodes:
        """Everything recorded, cut to the longest episode, last values repeated behind each end."""
        one = dict(self.one)
        longest = int(one["steps"].max())
        column = np.minimum(np.arange(longest + 1)[None, :], one["steps"][:, None])
        wide = {1: column, self.width: np.repeat(column, self.width, axis=0)}
        paths = {
            name: np.take_along_axis(path.T, wide[path.shape[1] // len(column)], axis=1)
            for name, path in self.paths.items()
        }
        fill, episode, step = (np.concatenate(parts) for parts in zip(_NO_FILLS, *self.fills, strict=True))
        order = np.argsort(episode, kind="stable")
        fill, episode = fill[order], episode[order]
        np.add.at(one["filled_qty"], episode, np.abs(fill["qty"]))
        return Episodes(
            **{name: values.astype(np.bool_) if name in _FLAGS else values for name, values in one.items()},
            **paths,
            costs=self.costs,
            action=np.ascontiguousarray(self.action[:longest].T),
            fill=fill,
            fill_episode=episode,
            fill_step=step[order],
            market_names=self.market_names,
            cost_names=self.cost_names,
            action_names=self.action_names,
            num_markets=self.width,
            linked=self._linked(),
            places=_places(self.env),
            interventions=self.interventions,
            tripped=None if self.interventions is None else self.tripped,
        )

    def _record_paths(self, env: np.ndarray) -> None:
        # a field first, then its rows: rows of a whole record would be copied with all their fields
        at = (self.t[env], self.place[env])
        account, market, position = self.state.account, self.state.market, self.state.position
        slot = self._rows(env)
        here = (np.repeat(self.t[env], self.width), self._rows(self.place[env]))
        self.paths["elapsed_ns"][at] = account["now_ns"][env] - account["start_ns"][env]
        self.paths["equity_uusd"][at] = account["equity_uusd"][env]
        self.paths["mid2_px"][here] = market["mid2_px"][slot]
        self.paths["net_qty"][here] = position["yes_qty"][slot] - position["no_qty"][slot]
        self.paths["signal_ppm"][here] = market["signal_ppm"][slot]
        self.paths["latent_ppm"][here] = market["latent_ppm"][slot]

    def _record_fills(self, env: np.ndarray) -> None:
        filled = env[self.state.account["n_fills"][env] > 0]
        if len(filled):
            count = self.state.account["n_fills"][filled]
            fill = self.state.fills[filled]
            written = np.arange(fill.shape[1]) < count[:, None]
            self.fills.append((fill[written], np.repeat(self.place[filled], count), np.repeat(self.t[filled], count)))

    def _record_orders(self, env: np.ndarray) -> None:
        """Orders of this step that do not rest."""
        wanted = self.env.sent[env]
        immediate = (wanted["tif"] != GTC) | (wanted["budget_uusd"] > 0)  # see sim.latency.send_order
        row, market, side = np.nonzero((wanted["do"] == DO_PLACE) & immediate)
        if not len(row):
            return
        order, here = wanted[row, market, side], env[row]
        sent = np.zeros(len(row), SENT)
        sent["env"], sent["step"], sent["ns"] = self.place[here], self.t[here], self._ns[here]
        sent["first_id"], sent["end_id"] = self._first_id[here], self.state.account["next_id"][here]
        sent["market"], sent["side"], sent["fee"] = market, side, self._fee[here, market]
        for name in ("leg", "px", "qty"):
            sent[name] = order[name]
        self.sent.append(sent)

    def _linked(self) -> Linked | None:
        if not self.linked:
            return None
        sent = np.concatenate(self.sent)
        world = self.env.engine.world
        return Linked(sent[np.argsort(sent["env"], kind="stable")], world.links, world.fees)

    def _grow(self) -> None:
        """Room for twice as many steps."""
        steps = len(self.action)
        self.action = np.pad(self.action, ((0, steps), (0, 0)), constant_values=-1)
        self.paths = {name: np.pad(path, ((0, steps), (0, 0))) for name, path in self.paths.items()}


def _places(env: TradingVectorEnv) -> tuple[str, ...]:
    """ "0 kalshi", "1 polymarket", ..."""
    return tuple(f"{index} {place.venue}" for index, place in enumerate(env.engine.scenario.places))


def action_names(actions: Sequence[Sequence]) -> tuple[str, ...]:
    """Readable names of an action table's rows (verb, leg, contracts, style): "buy YES 25", "passive sell NO 5"."""
    names = []
    for verb, leg, contracts, style in actions:
        if verb in ("buy", "sell"):
            names.append(f"{'passive ' if style == 'passive' else ''}{verb} {leg} {contracts:g}")
        else:
            names.append(f"{verb} {leg}" if verb == "cancel" else verb)
    return tuple(names)


_FLAGS = ("settled", "ruined")
_PATH_TYPES = dict.fromkeys(("mid2_px", "signal_ppm", "latent_ppm"), np.int32)
_NO_FILLS = (np.zeros(0, FILL), np.zeros(0, np.int64), np.zeros(0, np.int64))

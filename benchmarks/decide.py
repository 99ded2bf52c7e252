"""From a received frame to a certified decision: what each stage takes, one market, one core, a policy of 2 x 64.

A synthetic session is told in a venue's wire format. Each frame is read, put behind the stream, played, observed,
given to the policy, and what that wants is decoded and certified: a decision for every frame, as a runner makes them
that decides whenever something happens. The socket itself is not in it. The policy's weights are random: what a
forward pass takes does not depend on them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import torch
from tqdm import tqdm

from agents.config import PPOConfig
from agents.describe import describe as describe_network
from agents.export import note_of, to_onnx
from agents.exported import Exported
from agents.network import Network
from agents.policy import ONNX
from agents.trained import TrainedPolicy
from benchmarks.machine import describe, print_result
from envs.features import GROUPS
from envs.vector import TradingVectorEnv
from live.session import Session
from live.stream import Opening, Stream
from sim.scenarios.record import record
from sim.scenarios.row import benchmark_rows
from sim.tape import FeeRates, Market
from sim.wire import kalshi_writer, polymarket_writer
from sim.wire.kalshi import KalshiReader
from sim.wire.listing import CENT_TICKS, Listing
from sim.wire.polymarket import PolymarketReader

STAGES = ("read", "play", "policy", "certify")
Reader = KalshiReader | PolymarketReader


def session_frames(venue: str, seconds: float, seed: int = 0) -> tuple[Reader, Iterator[tuple[int, bytes]]]:
    """A reader, and (local_ns, frame) of a synthetic market's first ``seconds``."""
    listing = Listing(
        venue,
        Market("BENCHMARK", "BENCHMARK"),
        CENT_TICKS,
        FeeRates("crypto", venue, 70_000),
        tokens=("1", "2"),  # type: ignore[arg-type]
    )
    rows = benchmark_rows()
    rows["life_s"] = 2.0 * seconds  # the market must not end meanwhile
    (events,) = record(rows, seconds, seed)
    if venue == "kalshi":
        return KalshiReader([listing]), kalshi_writer.frames_of(kalshi_writer.KalshiWriter([listing]), events)
    writer = polymarket_writer.PolymarketWriter([listing])
    return PolymarketReader([listing]), polymarket_writer.frames_of(writer, events)


def random_policy(env: TradingVectorEnv, backend: str) -> TrainedPolicy:
    """A policy for ``env`` whose weights nobody has trained."""
    torch.manual_seed(0)
    config = PPOConfig(hidden=[64, 64])
    spec = describe_network(env.single_observation_space, env.single_action_space, config, 1)
    network = Network(spec, 1)
    parameters = {f"network.{name}": value for name, value in network.state_dict().items()}
    manifest, features = {"run": "random", "network": spec, "sheet": env.spec_sheet}, env.spec_sheet["observation"]
    if backend == ONNX:
        exported = Exported(to_onnx(network, note_of(manifest, parameters)))
        return TrainedPolicy(exported.note, {}, features, exported=exported)
    return TrainedPolicy(manifest, parameters, features, backend=backend)


def measure(venue: str, backend: str, decisions: int, warm_up: int = 500) -> dict[str, float]:
    """Percentiles in microseconds, over ``decisions``, of the whole and of its stages."""
    reader, frames = session_frames(venue, decisions / 8.0 + 600.0)
    rows: list = []
    while not (rows and Opening(tuple(reader.rules), (rows,)).ready):
        local_ns, frame = next(frames)
        rows += reader.take(frame, local_ns).rows
    stream = Stream(Opening(tuple(reader.rules), (rows,)))
    env = TradingVectorEnv(1, scenario=stream.scenario, features=GROUPS, limits="balanced", window_s=float("inf"))
    session, policy = Session(env, stream), random_policy(env, backend)
    look = session.begin()
    session.certify(policy.act(look.obs, look.masks))
    spent = np.zeros((decisions + warm_up, 1 + len(STAGES)))
    done = 0
    for local_ns, frame in tqdm(frames, total=len(spent), unit="frame", desc=f"{venue}, {backend}"):
        if local_ns <= session.now_ns:
            stream.append(reader.take(frame, local_ns).rows)
            continue
        begin = time.perf_counter_ns()
        rows = reader.take(frame, local_ns).rows
        read = time.perf_counter_ns()
        stream.append(rows)
        look = session.proceed(local_ns)
        played = time.perf_counter_ns()
        action = policy.act(look.obs, look.masks)
        acted = time.perf_counter_ns()
        session.certify(action)
        end = time.perf_counter_ns()
        spent[done] = end - begin, read - begin, played - read, acted - played, end - acted
        done += 1
        if done == len(spent):
            break
    if done < len(spent):
        raise RuntimeError(f"decide: the frames were over after {done} of {len(spent)} decisions")
    spent = spent[warm_up:] / 1e3
    found = {
        "p50_us": round(float(np.percentile(spent[:, 0], 50)), 1),
        "p99_us": round(float(np.percentile(spent[:, 0], 99)), 1),
    }
    return found | {
        f"{stage}_p50_us": round(float(np.percentile(spent[:, 1 + place], 50)), 1) for place, stage in enumerate(STAGES)
    }


def main(arguments: list[str]) -> int:
    """Print one JSON line; ``p50_us`` and ``p99_us`` are Kalshi's with the compiled forward pass."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks decide", description=__doc__)
    parser.add_argument("--decisions", type=int, default=20_000)
    options = parser.parse_args(arguments)
    result: dict = {"benchmark": "decide", "decisions": options.decisions, "wanted": {"p50_us": 60, "p99_us": 250}}
    result |= measure("kalshi", "numpy", options.decisions)
    result["polymarket"] = measure("polymarket", "numpy", options.decisions)
    result["kalshi_torch"] = measure("kalshi", "torch", options.decisions)
    if all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")):  # the extra serve
        result["kalshi_onnx"] = measure("kalshi", ONNX, options.decisions)
    print_result({**result, **describe()})
    return 0

"""``python -m sim.fillfit DATA... --out FOLDER``: fit fill models on early days, judge them on unseen ones."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from sim.activity import MEMORIES, SLOW
from sim.fillfit.features import LABELS, Sample, join, sample
from sim.fillfit.hypothetical import make_rules, walk
from sim.fillfit.markouts import SPLIT_DAY, real_maker
from sim.fillfit.model import MIN_ROWS
from sim.fillfit.prints import SPLITS
from sim.fillfit.report import Data, judge, plot
from sim.fillfit.sources import EVERY_S, Recording, load
from sim.fillfit.splits import compare
from sim.importers import common
from sim.shares import RULE_NAMES
from sim.tape import TapeError

SIZES = (1, 100, 1_000, 10_000)  # lots: the first lot of a print, then orders of 1, 10 and 100 contracts
L2 = 100.0
SCHEMA_VERSION = 1


class Settings(NamedTuple):
    """What a set is fitted with unless told otherwise; chosen on its early days (docs/fill-model.md)."""

    life_s: float
    memory: str  # of prints and lots, a name of sim.activity.MEMORIES
    move_memory: str  # of the mid's moves: slow or long


SETTINGS = {
    "kalshi_btc15m": Settings(5.0, "middle", "slow"),
    "kalshi_nba": Settings(5.0, "long", "long"),
    "polymarket_mlb": Settings(180.0, "long", "long"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0, or 2 with the reason on standard error where the data or the arguments do not do."""
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        out = Path(options.out)
        out.mkdir(parents=True, exist_ok=True)
        table = []
        for source in options.data:
            if "markout_1s" in common.columns_of(Path(source)):
                _report_markouts(console, Path(source), options.split_day, out)
            elif options.compare_splits:
                _report_splits(console, source, options, out)
            else:
                table += _report_set(console, source, options, out)
        if table:
            _write(out / "table.json", {"schema_version": SCHEMA_VERSION, "models": table})
            console.print(f"row fields of {len(table)} models: {out / 'table.json'}")
    except (TapeError, ValueError, OSError) as error:
        print(f"python -m sim.fillfit: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _report_set(console: Console, source: str, options: argparse.Namespace, out: Path) -> list[dict[str, Any]]:
    name, total, recordings = load(source, every_s=options.every, split=options.split, trade_share=options.trade_share)
    settings = _settings(name, options)
    data = collect(name, tqdm(recordings, total=total, desc=name, unit="tape"), settings, options.unseen)
    report, _ = judge(data, settings, options.l2)
    name = set_name(name, settings["prints"])
    _write(out / f"{name}.json", report)
    plot(out / f"{name}.png", report)
    _print_scores(console, report)
    entries = []
    for label, part in [*report["labels"].items(), ("coin", report["coin"])]:
        entries.append({
            "set": name, "label": label, "fitted_on": data.early_days, "orders": part["orders"],
            "clusters": part["clusters"], "base_rate": round(part["base_rate"], 4),
            "share": settings["share"], "power": settings["power"], "prints": settings["prints"], "row": part["row"],
        })  # fmt: skip
    return entries


def set_name(kind: str, prints: str) -> str:
    """What a fit is called: the recording's format, and how its prints were made up where it is not by volume."""
    split = prints.removeprefix("split: ")
    return f"{kind}_{split}" if split in SPLITS and split != "volume" else kind


def _settings(name: str, options: argparse.Namespace) -> dict[str, Any]:
    default = SETTINGS[name]
    return {
        "life_s": default.life_s if options.life is None else options.life,
        "every_s": EVERY_S[name] if options.every is None else options.every,
        "memory": default.memory if options.memory is None else options.memory,
        "move_memory": default.move_memory if options.move_memory is None else options.move_memory,
        "share": options.share,
        "power": options.power,
        "window_ms": options.window_ms,
        "credit_ms": options.credit_ms,
        "prints": f"split: {options.split}" if name == "kalshi_btc15m" else "of the tape",
        "sizes_lots": list(SIZES[1:]),
    }


def collect(name: str, recordings: Iterable[Recording], settings: dict[str, Any], unseen: Sequence[str]) -> Data:
    """Walk every recording once and sort its orders into early and unseen days.

    ``unseen`` empty: the last day. Raises ValueError for an unseen day that the set lacks, or where no day is left.
    """
    rules = make_rules(
        SIZES, [settings["life_s"]], share=settings["share"], power=settings["power"],
        window_ms=settings["window_ms"], credit_ms=settings["credit_ms"],
    )  # fmt: skip
    days: dict[str, dict[str, list[Sample]]] = {}
    memories = {name: MEMORIES.index(settings[name]) for name in ("memory", "move_memory")}
    for recording in recordings:
        found = walk(recording.tape, recording.rows, rules)
        for label in LABELS:
            part = sample(
                found, recording.cluster, life_s=settings["life_s"], life=0, sizes=np.array(SIZES), label=label,
                close_ns=recording.tape.header.markets[0].close_ns, **memories,
            )  # fmt: skip
            days.setdefault(recording.day, {}).setdefault(label, []).append(part)
    held = list(unseen) or sorted(days)[-1:]
    missing = sorted(set(held) - set(days))
    early = sorted(set(days) - set(held))
    if missing or not early:
        raise ValueError(f"{name}: its days are {', '.join(sorted(days))}; unseen days must be some of them, not all")
    sides = [{label: join([p for day in part for p in days[day][label]]) for label in LABELS} for part in (early, held)]
    for side, what in zip(sides, ("early", "unseen"), strict=True):
        if len(side["first"].filled) < MIN_ROWS:
            raise ValueError(f"{name}: {len(side['first'].filled)} {what} orders; expected at least {MIN_ROWS}")
    return Data(name, early, sorted(held), *sides)


def _print_scores(console: Console, report: dict[str, Any]) -> None:
    table = Table(
        box=box.SIMPLE, title=f"{report['set']}: judged on {', '.join(report['judged_on'])}", title_justify="left"
    )
    for name in ("label", "distance", "orders", "filled", "predicted", "Brier skill", "calibration error"):
        table.add_column(name, justify="left" if name in ("label", "distance") else "right")
    judged = [(label, part["unseen"]) for label, part in report["labels"].items()]
    for label, unseen in [*judged, ("coin, in replay", report["coin"]["replay"])]:
        for distance, row in unseen["by_distance"].items():
            table.add_row(
                label, distance, f"{row['orders']:,}", f"{row['base_rate']:.3f}", f"{row['mean_probability']:.3f}",
                _interval(row["brier_skill"]), "",
            )  # fmt: skip
        table.add_row(
            label, "all", f"{unseen['orders']:,}", f"{unseen['base_rate']:.3f}", f"{unseen['mean_probability']:.3f}",
            "", _interval(unseen["calibration_error"]),
        )  # fmt: skip
    console.print(table)


def _interval(score: dict[str, float | None]) -> str:
    if score.get("low") is None or score.get("high") is None:
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def _report_splits(console: Console, source: str, options: argparse.Namespace, out: Path) -> None:
    """Splits against true prints; unseen days are left out."""
    name, total, recordings = load(source, every_s=options.every)
    rules = make_rules(SIZES[:1], [options.life or SETTINGS[name].life_s], window_ms=options.window_ms)
    known = (part for part in tqdm(recordings, total=total, desc=name, unit="tape") if part.day not in options.unseen)
    found = compare(known, rules, options.every or EVERY_S[name])
    _write(out / f"{name}_splits.json", found)
    table = Table(box=box.SIMPLE, title=f"{name}: orders reached by true and by made-up prints", title_justify="left")
    for column in ("prints", "orders", "agree", *(f"{d} ticks" for d in found["true"]["reached"])):
        table.add_column(column, justify="left" if column == "prints" else "right")
    for kind, row in found.items():
        table.add_row(kind, f"{row['orders']:,}", f"{row['agree']:.3f}", *(f"{x:.3f}" for x in row["reached"].values()))
    console.print(table)


def _report_markouts(console: Console, path: Path, split_day: str, out: Path) -> None:
    parts = real_maker(path, split_day)
    _write(out / "markouts.json", {
        "file": path.name, "split_day": split_day, "cents": {k: [m._asdict() for m in v] for k, v in parts.items()},
    })  # fmt: skip
    table = Table(box=box.SIMPLE, title=f"{path.name}: cents, + is good for the maker", title_justify="left")
    for name in ("fills", "horizon", "mean", "95 % interval", "fills with it", "markets"):
        table.add_column(name, justify="left" if name == "fills" else "right")
    for name, rows in parts.items():
        for m in rows:
            interval = f"[{m.low:+.3f}, {m.high:+.3f}]"
            table.add_row(name, f"{m.horizon_s:g} s", f"{m.mean:+.3f}", interval, f"{m.fills:,}", f"{m.clusters}")
    console.print(table)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sim.fillfit", description=__doc__)
    parser.add_argument(
        "data", nargs="+", metavar="DATA",
        help=f"recordings ({', '.join(SETTINGS)}), or a Parquet file of a maker's markouts",
    )  # fmt: skip
    parser.add_argument("--out", required=True, help="folder for reports, plots and the table; files are replaced")
    parser.add_argument("--unseen", nargs="+", default=[], metavar="DAY", help="days to judge on; default: the last")
    parser.add_argument("--life", type=float, help="seconds within which an order is to be filled")
    parser.add_argument("--every", type=float, help="seconds between moments at which orders are placed")
    parser.add_argument("--memory", choices=MEMORIES, help="half-life of print rates: 2.1, 8.6, 34 or 275 s")
    parser.add_argument("--move-memory", choices=MEMORIES[SLOW:], help="half-life of the mid's variance")
    parser.add_argument("--share", choices=RULE_NAMES, default="proportional", help="where cancels come from")
    parser.add_argument("--power", type=float, default=1.0, help="exponent of --share power")
    parser.add_argument("--window-ms", type=float, default=250.0, help="how long after a drop its print may come")
    parser.add_argument("--credit-ms", type=float, default=1000.0, help="how long after a print its drop may come")
    parser.add_argument("--split", choices=SPLITS, default="volume", help="prints for feeds that have none")
    parser.add_argument("--trade-share", type=float, default=0.455, help="of a touch's drop, for --split share, whole")
    parser.add_argument("--l2", type=float, default=L2, help="ridge penalty on standardised terms")
    parser.add_argument("--compare-splits", action="store_true", help="only try the splits where prints are known")
    parser.add_argument("--split-day", default=SPLIT_DAY, help="day at which a maker's fills become late")
    return parser


if __name__ == "__main__":
    sys.exit(main())

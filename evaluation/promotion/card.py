"""A promotion for people: the model card and the checklist, made of the record alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evaluation.promotion.tails import LABELS
from evaluation.text import NOT_DEFINED

_MEANT = {
    "tails": "Tail better than the incumbent's, mean no worse",
    "baseline": "Earns its place beside the best baseline",
    "budgets": "Budgets kept, none spent more of than before",
    "table": "Known failures passed",
    "replay": "The same evaluation twice gives the same bytes",
    "features": "Observations of recorded tapes agree, however they are made",
    "latency": "Decisions come in time",
}


def card(record: Mapping[str, Any]) -> str:
    """The model card, Markdown."""
    parts = (_head, _figures, _budgets, _failures, _difference, _limits)
    return "\n".join(line for part in parts for line in part(record)) + "\n"


def checklist(record: Mapping[str, Any], commands: Mapping[str, str]) -> str:
    """Every gate with its verdict and the command that asks it again; ``commands`` by gate, Markdown.

    What is no gate (the integrity of the copy, the card) is in ``commands`` under the words it is to be listed with.
    """
    lines = [
        f"# Checklist: {record['run']['name']}",
        "",
        "Each item is a command; its exit status is 0 where it is kept. Figures are those of the promotion.",
        "",
    ]
    asked = {gate["name"]: gate for gate in record["gates"]}
    for name, gate in asked.items():
        mark = "x" if gate["verdict"] == "passed" else " "
        waived = f" by `{gate['waived']}`" if gate["waived"] else ""
        lines += [
            f"- [{mark}] **{name}**, {gate['verdict']}{waived}: {_MEANT.get(name, name)}",
            f"  - expected: {gate['expected']}",
            f"  - came: {gate['came']}",
            f"  - `{commands[name]}`",
        ]
    for words, command in commands.items():
        if words not in asked:
            lines += [f"- [ ] {words}", f"  - `{command}`"]
    return "\n".join(lines) + "\n"


def _head(record: Mapping[str, Any]) -> Iterator[str]:
    run, on, made = record["run"], record["judged_on"], record["made"]
    yield f"# {run['name']}"
    yield ""
    yield "Promoted." if record["promoted"] else f"Refused by: {', '.join(record['refused'])}."
    yield ""
    rows = {
        "judged on": f"{on['title']}: {on['scenario']}",
        "episodes": f"{on['episodes']}, worlds of seed {on['seed']}, {on['fill_model']} fills",
        "rows": f"{on['rows']} scenario rows, digest {on['rows_digest'][:16]}",
        "recorded data": _data(on["data"]),
        "trained": f"seed {run['seed']}, {run['steps']} steps, {run['trained_on']}",
        "environment": run["environment"],
        "policy": f"SHA-256 {run['files'].get('policy.zip', NOT_DEFINED)[:16]}",
        "replaces": record["incumbent"] or "nothing: the first",
        "code": f"commit {str(made['git']['commit'])[:12]}{', changed' if made['git']['dirty'] else ''}, "
        f"sources {record['source'][:16]}",
        "versions": ", ".join(f"{name} {version}" for name, version in made["versions"].items()),
        "date": made["date"],
    }
    yield from ("| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items()), "")


def _data(data: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({digest[:12]})" for name, digest in data.items()) or "none: generated markets"


def _gate(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((gate for gate in record["gates"] if gate["name"] == name), {"figures": {}, "verdict": "not asked"})


def _figures(record: Mapping[str, Any]) -> Iterator[str]:
    level = f"{100 * record['terms']['level']:g} %"
    yield f"## Figures, dollars an episode, {level} intervals"
    yield ""
    for name in ("tails", "baseline"):
        figures = _gate(record, name)["figures"]
        if not figures:
            continue
        yield f"Against {figures['reference']} ({_gate(record, name)['verdict']}):"
        yield ""
        yield from ("| | candidate | reference | gain, paired |", "|---|---|---|---|")
        for key, what in LABELS.items():
            cells = (_interval(figures[column][key]) for column in ("candidate", "theirs", "gain"))
            yield f"| {what} | {' | '.join(cells)} |"
        yield ""
    yield from ("Gains over each, above 0 = better:", "")
    yield from (f"| over | {' | '.join(LABELS.values())} |", "|---|---|---|---|")
    for name, found in record["standings"].items():
        yield f"| {name} | {' | '.join(_interval(found[key]) for key in LABELS)} |"
    yield ""
    latency = _gate(record, "latency")["figures"]
    if latency:
        yield f"A decision takes {latency['p50_us']:.0f} microseconds (p50), {latency['p99_us']:.0f} (p99), batch 1."
        yield ""


def _budgets(record: Mapping[str, Any]) -> Iterator[str]:
    figures = _gate(record, "budgets")["figures"]
    yield "## Budgets"
    yield ""
    if not figures:
        yield from ("The run has none.", "")
        return
    yield from ("| cost | kind | limit | spent | more than the incumbent |", "|---|---|---|---|---|")
    for name, entry in figures.items():
        more = NOT_DEFINED if entry["more"] is None else _interval(entry["more"])
        yield f"| {name} | {entry['kind']} | {entry['limit']:g} | {_interval(entry)} | {more} |"
    yield ""


def _failures(record: Mapping[str, Any]) -> Iterator[str]:
    gate = _gate(record, "table")
    cases = gate["figures"].get("cases", [])
    allowed = gate["figures"].get("allowed", [])
    bad = [case for case in cases if case["passed"] is not True]
    yield "## Known failures"
    yield ""
    yield f"{sum(case['passed'] is True for case in cases)} of {len(cases)} cases passed ({gate['verdict']})."
    yield ""
    for case in bad:
        why = " (allowed)" if case["name"] in allowed else ""
        yield f"- {case['name']}{why}: {case['text']}, at most {case['threshold']:g}"
    if bad:
        yield ""


def _difference(record: Mapping[str, Any]) -> Iterator[str]:
    view = record["difference"]
    yield "## Where it acts differently"
    yield ""
    if "refused" in view:
        yield from (f"Not said: {view['refused']}.", "")
        return
    share = f"{100 * view['share']:.1f} % of {view['decisions']} decisions"
    yield f"{share} differ from those of {record['incumbent']} at the same places."
    yield from ("", "![Where they differ](difference.png)", "")
    if view["pairs"]:
        yield from ("| candidate | incumbent | decisions |", "|---|---|---|")
        yield from (f"| {ours} | {theirs} | {count} |" for ours, theirs, count in view["pairs"])
        yield ""
    if view["coordinates"]:
        yield from ("| coordinate | mean distance | largest |", "|---|---|---|")
        yield from (f"| {one['name']} | {one['mean']:.3f} | {one['largest']:.3f} |" for one in view["coordinates"])
        yield ""
    if view["features"]:
        yield from ("| feature | share that differs, from its lowest fifth of values to its highest |", "|---|---|")
        for entry in view["features"]:
            shares = ", ".join(f"{100 * bucket['share']:.0f} %" for bucket in entry["buckets"])
            yield f"| {entry['name']} | {shares} |"
        yield ""


def _limits(record: Mapping[str, Any]) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield f"- Said of {record['judged_on']['fill_model']} fills and of the scenario above, of no other."
    yield "- Intervals cover chance in the episodes, not another seed of the training, nor a market that changes."
    if "held-out" not in record["judged_on"]["title"]:
        yield "- The markets are generated: a model, and the policy learnt from the same model."
    for gate in record["gates"]:
        if gate["verdict"] == "waived":
            yield f"- Gate {gate['name']} was not run ({gate['waived']}): {gate['came']}."
    if record["terms"]["slack_usd"] > 0.0:
        yield f"- Gains were allowed to fall short by {record['terms']['slack_usd']:g} dollars an episode."


def _interval(entry: Mapping[str, float | None]) -> str:
    if entry["value"] is None:
        return NOT_DEFINED
    if entry["low"] is None or entry["high"] is None:
        return f"{entry['value']:.4g}"
    value, low, high = (0.0 + entry[key] for key in ("value", "low", "high"))  # type: ignore[operator]  # no -0
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"

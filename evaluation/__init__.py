"""Judging policies: play them, measure them with intervals, say where the money came from, report.

In the order a caller needs them::

    evaluation = evaluate({"ppo": "checkpoints/run", "quoter": "baseline:quoter"}, make_env, episodes=512)
    card = scorecard(evaluation)
    write_scorecard(folder, card)
    write_report(folder, evaluation, manifest, card)
    print_scorecard(card)
"""

from evaluation.attribution import Attribution, attribute
from evaluation.bootstrap import Interval, bootstrap, difference, false_alarms
from evaluation.compare import BRACKET, Evaluation, advantage, evaluate
from evaluation.episodes import Episodes, check_pairs, clusters, market_days
from evaluation.estimates import METRICS, estimate
from evaluation.report import write_report
from evaluation.rollout import Policy, rollout
from evaluation.scorecard import scorecard, summarise, write_scorecard
from evaluation.summary import Summary, format_summary, parse_summary
from evaluation.terminal import print_scorecard
from evaluation.tune import Tuned, tune

__all__ = [
    "BRACKET",
    "METRICS",
    "Attribution",
    "Episodes",
    "Evaluation",
    "Interval",
    "Policy",
    "Summary",
    "Tuned",
    "advantage",
    "attribute",
    "bootstrap",
    "check_pairs",
    "clusters",
    "difference",
    "estimate",
    "evaluate",
    "false_alarms",
    "format_summary",
    "market_days",
    "parse_summary",
    "print_scorecard",
    "rollout",
    "scorecard",
    "summarise",
    "tune",
    "write_report",
    "write_scorecard",
]

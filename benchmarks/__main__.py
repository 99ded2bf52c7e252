"""``python -m benchmarks COMMAND``: see ``--help`` of each."""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "env": "environment steps a second on one core, features and strategy included",
    "scale": "what a step costs with 65,536 environments, with 4 and 16 markets; what a second env runner is worth",
    "ofi": "taker flow against book imbalance as a forecast of the next 5 seconds, on recorded days",
    "detection": "anchors and cascades found in the features of unseen synthetic rows",
    "replay": "events a second from an in-memory tape, and from file to book",
    "peers": "hftbacktest and this engine on one task, side by side, with fills; installs it on first use",
    "cold": "seconds from a fresh interpreter to the first step, without compiled kernels and with them",
    "train": "stock SB3, ours eager and ours compiled, with 0, 1 and 3 budgets, side by side",
    "rllib": "the RLlib trainer beside stock RLlib's PPO, sampling and learning, side by side",
    "constrained": "market making within budgets: constrained PPO, plain PPO and tuned baselines, five seeds",
    "resume": "a training run killed at 20 random moments ends as one that was left alone, bit for bit",
    "parity": "10,000 random scenarios: compiled, bounds-checked and interpreted agree bit for bit",
    "shield": "100 million adversarial orders against the shield, judged by separate code; its cost with --cost",
    "adversary": "searches for failures against a planted weakness, beside random search, 20 seeds; 20 minutes",
    "recorder": "the busiest hour of 50 markets recorded: core share, bytes a message; parse and sync included",
    "recorder_kill": "a recorder killed at random moments, again and again: nothing acknowledged is lost",
    "order_faults": "a thousand fault scripts against the order manager: fills, cash and orders are the venue's",
    "order_kill": "an order manager killed while it trades, again and again: nothing acknowledged is lost",
    "frames": "a million broken frames through the readers of both venues: nothing raises, all are counted",
    "soak": "ten million steps of random actions over wide rows and recordings: nothing breaks",
    "laws": "the market's laws with intervals: no free lunch, resolution, fills",
    "coverage": "Monte Carlo's 95 % intervals against laws whose tails are known: how often they hold the truth",
    "curriculum": "a curriculum beside its last phase at once: the same steps, five seeds; 12 minutes a run",
    "transfer": "trained on fitted crypto rows, judged on sports rows and recordings; three seeds",
    "learning": "PPO against tuned baselines and the clairvoyant of the signal, five seeds",
    "decide": "microseconds from a received frame to a certified decision, one market, a policy of 2 x 64",
    "presign": "microseconds from a signal to its signed order and to the answer, signed ahead or not; hit rates",
    "resolvedkit": "its published late_favorite result beside ours",
}


def main() -> int:
    """Run one benchmark; returns the exit status."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print("usage: python -m benchmarks COMMAND [--help]\n")
        print("\n".join(f"  {name:12s} {what}" for name, what in COMMANDS.items()))
        return 0 if len(sys.argv) == 2 and sys.argv[1] in ("-h", "--help") else 2
    module = importlib.import_module(f"benchmarks.{sys.argv[1]}")
    return module.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())

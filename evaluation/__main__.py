"""``python -m evaluation COMMAND``: see ``--help`` of each."""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "known_answers": "the learner beside optima that can be computed: five seeds, one JSON line a problem",
    "adversary": "search for scenario rows on which a policy fails; they go into the table of failures",
    "monitor": "a run on new tapes beside older ones: patterns, entries, money; says when to refresh",
    "tune": "search for parameters of a baseline or an agent: several objectives, within budgets",
    "export": "a trained policy as a file of ONNX, checked on recorded observations",
    "promote": "gates that a run passes before it replaces the promoted policy; --rollback goes back",
    "promoted": "the line of promoted policies, their files checked",
}
IN_CONFIGS = (
    "adversary",
    "export",
    "monitor",
    "promote",
    "tune",
)  # they read configurations, which this package does not


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] not in COMMANDS:
        lines = "\n".join(f"  {name:14s} {what}" for name, what in COMMANDS.items())
        sys.stdout.write(f"usage: python -m evaluation COMMAND [--help]\n\n{lines}\n")
        return 0 if given in (["-h"], ["--help"]) else 2
    home = "configs" if given[0] in IN_CONFIGS else "evaluation"
    return importlib.import_module(f"{home}.{given[0]}").main(given[1:])


if __name__ == "__main__":
    sys.exit(main())

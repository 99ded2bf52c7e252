"""The search for rows on which a policy fails: spaces, searchers, minimisation, and the table of what was found."""

from curricula.adversary.failures import LIBRARY, Case, append_case, load_cases, make_case
from curricula.adversary.hunt import Hunt, deepen, hunt
from curricula.adversary.minimise import Minimal, minimise
from curricula.adversary.searchers import SEARCHERS, Searcher, make_searcher
from curricula.adversary.space import Axis, Space, load_space, space_names

__all__ = [
    "LIBRARY",
    "SEARCHERS",
    "Axis",
    "Case",
    "Hunt",
    "Minimal",
    "Searcher",
    "Space",
    "append_case",
    "deepen",
    "hunt",
    "load_cases",
    "load_space",
    "make_case",
    "make_searcher",
    "minimise",
    "space_names",
]

"""Nested tuples, dictionaries and lists of arrays as a flat list of byte tensors, and back into a tree of equal shape.

An environment's snapshot is such a tree. Its classes stay where they are: what is stored is bytes in a fixed order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


def leaves(tree: Any) -> Iterator[np.ndarray]:
    """The arrays of a tree, depth first."""
    if isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, dict):
        for key in sorted(tree):
            yield from leaves(tree[key])
    elif isinstance(tree, (tuple, list)):
        for part in tree:
            yield from leaves(part)
    else:
        raise TypeError(f"snapshot: expected arrays in tuples, lists and dictionaries, found a {type(tree).__name__}")


def pack(tree: Any) -> list[torch.Tensor]:
    """Copies of the arrays as uint8 tensors."""
    return [torch.from_numpy(np.frombuffer(leaf.tobytes(), np.uint8).copy()) for leaf in leaves(tree)]


def unpack(packed: list[torch.Tensor], tree: Any, what: str) -> Any:
    """``tree`` with its arrays overwritten by ``packed``. Raises ValueError naming ``what`` where sizes differ."""
    places = list(leaves(tree))
    found, wanted = [len(part) for part in packed], [leaf.nbytes for leaf in places]
    if found != wanted:
        raise ValueError(
            f"{what}: the checkpoint holds arrays of {found} bytes, this environment has {wanted}: it was made with "
            f"other settings"
        )
    for leaf, part in zip(places, packed, strict=True):
        leaf[...] = np.frombuffer(part.numpy().tobytes(), leaf.dtype).reshape(leaf.shape)
    return tree

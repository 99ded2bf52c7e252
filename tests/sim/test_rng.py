from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import rng
from sim.rng import below, fold, philox, uniform

ALL = 0xFFFFFFFF
words = st.integers(0, ALL)


def plain_philox(k0, k1, c0, c1, c2, c3):
    """Philox4x32-10 as the paper writes it, in Python's integers."""
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ALL, ALL), (ALL, ALL, ALL, ALL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (  # the digits of pi
            (0xA4093822, 0x299F31D0),
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_published_answers(key, counter, expected):
    # Random123 1.14, tests/kat_vectors, "philox4x32 10"
    assert philox(*key, *counter) == expected


@given(words, words, words, words, words, words)
@settings(max_examples=200)
def test_same_as_the_plain_one(k0, k1, c0, c1, c2, c3):
    got = philox(k0, k1, c0, c1, c2, c3)
    assert got == plain_philox(k0, k1, c0, c1, c2, c3)


@given(st.lists(words, min_size=6, max_size=6), st.integers(0, 5), st.integers(1, 2**31 - 1))
@settings(max_examples=100)
def test_low_32_bits_count(args, place, high):
    longer = list(args)
    longer[place] += high << 32
    assert philox(*longer) == philox(*args)


@pytest.mark.parametrize("place", range(6))
def test_every_argument_matters(place):
    args = [1, 2, 3, 4, 5, 6]
    args[place] += 1
    assert set(philox(*args)).isdisjoint(philox(1, 2, 3, 4, 5, 6))


def test_numpy_arguments_make_no_difference():
    assert philox(*np.arange(1, 7)) == philox(1, 2, 3, 4, 5, 6)
    assert philox(*np.arange(1, 7, dtype=np.int32)) == philox(1, 2, 3, 4, 5, 6)


def test_uniform_stays_inside():
    assert uniform(0) == 0.5 / 2**32
    assert uniform(2**31) == 0.5 + 0.5 / 2**32
    assert uniform(ALL) == 1.0 - 0.5 / 2**32


@given(words, st.integers(1, 2**31 - 1))
@settings(max_examples=200)
def test_below_is_the_high_part(word, n):
    assert below(word, n) == word * n // 2**32 < n


def test_below_is_even():
    # 60,000 draws of 6 faces: chi-squared with 5 degrees of freedom exceeds 20.5 once in a thousand
    counts = np.zeros(6, int)
    for step in range(15_000):
        for word in philox(7, 0, step, rng.POLICY, 0, 0):
            counts[below(word, 6)] += 1
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 20.5


def test_words_look_independent():
    # mean 1/2 +- 4 x 0.2887 / sqrt(20000) = 0.0082; correlations 0 +- 4 / sqrt(20000) = 0.0283
    draws = np.array([[uniform(word) for word in philox(0, 1, step, rng.FLOW, 3, 0)] for step in range(20_000)])
    assert abs(draws.mean(axis=0) - 0.5).max() < 0.0082
    columns = np.column_stack([draws[1:], draws[:-1]])  # within a block, and from one block to the next
    assert abs(np.corrcoef(columns.T) - np.eye(8)).max() < 0.0283


def test_purposes_differ():
    purposes = [rng.FLOW, rng.FILL, rng.RESET, rng.POLICY, rng.SIGNAL, rng.OUTCOME, rng.LATENCY]
    assert purposes == [1, 2, 3, 4, 5, 6, 7]  # frozen: another number is another stream, and other results


@given(words)
@settings(max_examples=50)
def test_small_seeds_are_themselves(seed):
    assert fold(seed) == seed


def test_large_seeds_spread():
    seeds = [low + (high << 32) for high in range(60) for low in range(60)] + [rng.MAX_SEED]
    folded = {fold(seed) for seed in seeds}
    assert len(folded) == len(seeds)
    assert all(0 <= word < 2**32 for word in folded)


@pytest.mark.parametrize("seed", [-1, 2**63, -(2**40)])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match=f"expected an integer from 0 to {2**63 - 1}, got {seed}"):
        fold(seed)


@pytest.mark.parametrize("seed", [1.0, "1", None, True])
def test_seeds_of_another_type(seed):
    with pytest.raises(TypeError, match="seed: expected an integer"):
        fold(seed)


BOTH_WAYS = """
from sim.rng import below, fold, philox, uniform
state = 12345
for _ in range(300):
    args = []
    for _ in range(6):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        args.append(state >> 1)
    block = philox(*args)
    print(*(int(word) for word in block), uniform(block[0]).hex())
    print(int(below(block[1], 1 + args[0] % 1000)), fold(args[1]))
"""


def test_compiled_and_interpreted_agree(run_other_way, capsys):
    exec(compile(BOTH_WAYS, "both_ways", "exec"), {})
    assert capsys.readouterr().out == run_other_way(BOTH_WAYS)

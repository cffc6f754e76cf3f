"""Sizes as the proofs of checks say them."""

from __future__ import annotations

import pytest

from console.policy.sizes import size_words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (512, "512 bytes"),
        (100663296, "96 MiB"),
        (3 << 29, "1.5 GiB"),
        ((1 << 30) - 1, "1 GiB"),
        (-(1 << 20), "-1 MiB"),
    ],
)
def test_sizes_are_told_in_words(count: int, words: str) -> None:
    """Nobody has to count digits, and no number reaches the next unit."""
    assert size_words(count) == words

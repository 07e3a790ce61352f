"""The verifier of chains: what it sees, what it misreads, and what it expects."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.lab.chain_practice import BEGINNER
from guerdon.lab.chain_verifier import ChainReader, Seen, fit_verifier
from guerdon.lab.chain_writer import ChainWriter, habits
from guerdon.lab.chains import Chain, Chains, Operation
from guerdon.lab.tabular import TabularPolicy

CHAIN = Chain(7, (Operation("+", 5), Operation("*", 3)), 10)


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        ((), Seen(2, False, False)),
        (("7+5=2",), Seen(1, False, False)),
        (("7+5=3",), Seen(1, True, False)),
        (("7+5=3", "no 7+5=2"), Seen(1, False, False)),
        (("7+5=3", "3*3=9"), Seen(0, True, False)),
        (("7+0=7", "1+1=2"), Seen(2, False, False)),
        (("7+5=2", "2*3=6", "answer 6"), Seen(0, False, True)),
        (("7+5=2", "answer 2"), Seen(0, True, True)),
    ],
)
def test_a_reader_without_mistakes_sees_what_is_there(lines: tuple[str, ...], seen: Seen) -> None:
    assert ChainReader(CHAIN, 0.0, np.random.default_rng(0))(lines) == seen


def test_a_line_is_misread_as_often_as_said_and_always_in_the_same_way() -> None:
    rng = np.random.default_rng(0)
    readers = [ChainReader(CHAIN, 0.2, rng) for _ in range(4000)]
    off = [see(("7+5=2",)).off for see in readers]
    assert np.mean(off) == pytest.approx(0.2, abs=0.02)
    assert [see(("7+5=2",)).off for see in readers] == off
    longer = [see(("7+5=2", "2*3=6")).off for see in readers]
    assert all(after for before, after in zip(off, longer, strict=True) if before)


def test_a_fitted_verifier_expects_what_the_prover_achieves() -> None:
    writer, policy = ChainWriter(0.9), TabularPolicy(habits(BEGINNER))
    tasks = Chains(2, 97).tasks(1000, 0)
    table = fit_verifier(writer, policy, policy, tasks, 0.0, np.random.default_rng(1))
    chain = Chain.of(tasks[0].chat(""))
    assert table[Seen(2, False, False)] == pytest.approx(writer.success(chain, policy), abs=0.04)
    assert table[Seen(0, False, True)] > 0.97  # a repair of the last of two slips looks better than it is
    assert table[Seen(0, True, True)] < 0.03
    unsure = fit_verifier(writer, policy, policy, tasks, 0.2, np.random.default_rng(1))
    assert 0.0 < unsure[Seen(0, True, True)] < unsure[Seen(0, False, True)] < 1.0


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="mistaken"):
        ChainReader(CHAIN, 1.5, np.random.default_rng(0))

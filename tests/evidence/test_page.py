"""The statistics of the page on answers worked out by hand, and that the page says what the code computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guerdon import Chat, Reward
from guerdon.verify import MathAnswer

from . import page
from .preferences import REWARDS, Questions, agreement, earlier_first, qa_feedback, rank_correlation
from .verdicts import Graded, compare

PAIRS = [(0, 1), (0, 2), (1, 2)]


def questions(*winners: list[int]) -> Questions:
    return Questions([["a", "b", "c"]] * len(winners), [""] * len(winners), PAIRS, np.array(winners))


def test_agreement_counts_ties_half_and_leaves_undecided_pairs_out() -> None:
    asked = questions([1, 1, 1], [-1, 0, 0])
    assert agreement(np.array([[3.0, 2, 1], [1, 2, 0]]), asked).value == 1
    assert agreement(np.array([[1.0, 2, 3], [2, 1, 0]]), asked).value == 0
    assert agreement(np.array([[3.0, 2, 2], [0, 0, 0]]), asked).value == (2 + 0.5 + 0.5) / 4


def test_place_neutral_agreement_gives_place_alone_no_more_than_chance() -> None:
    asked = questions([1, 1, 1], [1, 1, -1], [1, 0, -1])
    first = earlier_first(asked)
    assert agreement(first, asked).value == 6 / 8
    assert agreement(first, asked, place_neutral=True).value == pytest.approx(0.5)
    assert agreement(-first, asked, place_neutral=True).value == pytest.approx(0.5)


def test_rank_correlation() -> None:
    ordered, undecided, circular = [1, 1, 1], [0, 0, 0], [1, -1, 1]
    up, flat = [3.0, 2, 1], [1.0, 1, 1]
    asked = questions(ordered, ordered, undecided, circular)
    assert rank_correlation(np.array([up, up, up[::-1], up[::-1]]), asked).value == 1
    assert rank_correlation(np.array([up, flat]), questions(ordered, ordered)).value == 0.5
    assert rank_correlation(np.array([up[::-1]] * 2), questions(ordered, ordered)).value == -1


def test_intervals_surround_the_value_and_narrow_with_questions() -> None:
    rng = np.random.default_rng(0)
    few, many = (
        agreement(rng.normal(size=(n, 3)), questions(*rng.choice([-1, 1], size=(n, 3)).tolist()))
        for n in (20, 2000)
    )
    assert few.low < few.value < few.high
    assert many.high - many.low < (few.high - few.low) / 5
    assert many.low < 0.5 < many.high


def test_preferences_are_read_as_documented(shared_data: Path) -> None:
    asked = qa_feedback(shared_data)
    assert asked.winners[0].tolist() == [0, 1, -1, 1, 0, -1]
    assert asked.restricted({1, 2, 3}).winners[0].tolist() == [1, 0, -1]


def test_a_verdict_that_differs_is_listed(monkeypatch: pytest.MonkeyPatch, shared_data: Path) -> None:
    rows = [
        Graded("row 0", Chat("", "\\boxed{2}", "2"), True),
        Graded("row 1", Chat("", "\\boxed{2}", "3"), True),
    ]
    assert compare(rows, MathAnswer()).differing == rows[1:]
    graders: dict[tuple[str, str], tuple[object, Reward]] = {
        ("made_up", "math"): (lambda _: rows, MathAnswer())
    }
    monkeypatch.setattr(page.verdicts, "GRADERS", graders)
    assert "| `made_up`, row 1 | `math` | `3` | right |" in page.graders(shared_data)["disagreements"]


def test_regions_are_replaced_and_nothing_else() -> None:
    text = "a\n<!-- x -->\n\nold\n\n<!-- end of x -->\nb\n"
    assert page.replace_regions(text, {"x": "new"}) == text.replace("old", "new")
    with pytest.raises(ValueError, match="expected one region 'y'"):
        page.replace_regions(text, {"y": "new"})


def test_the_page_says_what_the_code_computes(shared_data: Path) -> None:
    compared = [*page.compare_all(shared_data, REWARDS), page.place_in_record(shared_data)]
    written = page.PAGE.read_text("utf-8")
    assert page.replace_regions(written, page.regions(shared_data, compared)) == written, (
        "run python -m tests.evidence"
    )

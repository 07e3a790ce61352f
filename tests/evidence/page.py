"""The generated parts of docs/evidence.md, each between two comments, and their place in the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from guerdon import Reward

from . import preferences, tool_records, verdicts
from .damage import DAMAGES
from .preferences import Estimate

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "evidence.md"
FIGURE = ROOT / "docs" / "images" / "evidence-agreement.svg"


class Comparison(NamedTuple):
    """A reward beside the people of qa_feedback: see the columns of the page."""

    reward: str
    agreement: Estimate
    place_neutral: Estimate
    rank_correlation: Estimate
    corrected: Estimate
    correction: Estimate | None


def replace_regions(text: str, regions: Mapping[str, str]) -> str:
    """The page with these regions in place of what stood there; `ValueError` where a region has no place."""
    for name, content in regions.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->\n"
        if (text.count(begin), text.count(end)) != (1, 1):
            raise ValueError(f"the page: expected one region {name!r}")
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{content}\n{end}{rest.partition(end)[2]}"
    return text


def regions(folder: Path, compared: Sequence[Comparison]) -> dict[str, str]:
    """Every generated part of the page but the one that needs an encoder."""
    damaged = {f"damage {name}": damage_table(folder, name) for name in tool_records.RECORDS}
    return {
        **damaged,
        **graders(folder),
        "preference counts": preference_counts(folder),
        "preferences": comparison_table(compared),
        "preferences without reference": without_reference(folder),
    }


def damage_table(folder: Path, record: str) -> str:
    made = list(tool_records.cases(tool_records.RECORDS[record](folder)))
    found = {name: tool_records.values(column, made) for name, column in tool_records.COLUMNS.items()}
    kinds = np.array([case.kind for case in made])
    lines = [
        [
            kind,
            str((kinds == kind).sum()),
            *(number(column[kinds == kind].mean(), 2) for column in found.values()),
        ]
        for kind in (tool_records.REFERENCE, *DAMAGES)
        if (kinds == kind).any()
    ]
    return table(["damage", "turns", *found], lines)


def graders(folder: Path) -> dict[str, str]:
    found = {
        key: verdicts.compare(list(read(folder)), reward) for key, (read, reward) in verdicts.GRADERS.items()
    }
    summary = [
        [f"`{record}`", f"`{reward}`", *(f"{n:,}" for n in each[:3]), str(len(each.differing))]
        for (record, reward), each in found.items()
    ]
    differing = [
        [
            f"`{record}`, {row.where}",
            f"`{reward}`",
            f"`{row.sample.reference}`",
            "right" if row.right else "wrong",
        ]
        for (record, reward), each in found.items()
        for row in each.differing
    ]
    extracted = verdicts.extraction(folder)
    return {
        "verdicts": table(
            ["records", "reward", "answers", "right in the record", "right by the reward", "differing"],
            summary,
        ),
        "disagreements": table(["row", "reward", "reference", "record says"], differing)
        if differing
        else "No verdict differs, so there is none to list.",
        "extraction": f"The answer found in a trajectory differs from the released prediction in {len(extracted)} rows"
        + (f": {', '.join(extracted)}." if extracted else "."),
    }


def compare_all(folder: Path, rewards: Mapping[str, Reward]) -> list[Comparison]:
    gold = preferences.qa_feedback(folder)
    corrected = preferences.qa_feedback(folder, "corrected").restricted({1, 2, 3})
    correction = preferences.corrections(folder)
    return [
        Comparison(
            name,
            preferences.agreement(scores := preferences.scores(reward, gold), gold),
            preferences.agreement(scores, gold, place_neutral=True),
            preferences.rank_correlation(scores, gold),
            preferences.agreement(preferences.scores(reward, corrected), corrected),
            preferences.agreement(preferences.scores(reward, correction), correction),
        )
        for name, reward in rewards.items()
    ]


def place_in_record(folder: Path) -> Comparison:
    """The rule that prefers the earlier answer, as a yardstick."""
    gold = preferences.qa_feedback(folder)
    corrected = preferences.qa_feedback(folder, "corrected").restricted({1, 2, 3})
    scores = preferences.earlier_first(gold)
    return Comparison(
        "*place in the record*",
        preferences.agreement(scores, gold),
        preferences.agreement(scores, gold, place_neutral=True),
        preferences.rank_correlation(scores, gold),
        preferences.agreement(preferences.earlier_first(corrected), corrected),
        None,
    )


def comparison_table(compared: Sequence[Comparison]) -> str:
    head = [
        "reward",
        "pairs, %",
        "place-neutral, %",
        "τ-b",
        "corrected reference, %",
        "prefers the correction, %",
    ]
    lines = [
        [
            each.reward if each.reward.startswith("*") else f"`{each.reward}`",
            percent(each.agreement),
            percent(each.place_neutral),
            interval(each.rank_correlation, 1, 2),
            percent(each.corrected),
            "" if each.correction is None else percent(each.correction),
        ]
        for each in compared
    ]
    return table(head, lines)


def preference_counts(folder: Path) -> str:
    gold = preferences.qa_feedback(folder)
    corrected = preferences.qa_feedback(folder, "corrected").restricted({1, 2, 3})
    correction = preferences.corrections(folder)
    decided, tied = int((gold.winners != 0).sum()), int((gold.winners == 0).sum())
    return (
        f"{len(gold.answers)} questions with {decided:,} decided pairs ({tied} pairs without a preference are left out); "
        f"with the corrected reference {len(corrected.answers)} questions and {int((corrected.winners != 0).sum()):,} "
        f"pairs; {len(correction.answers)} corrections."
    )


def without_reference(folder: Path) -> str:
    sets = {"hh_harmless_pairs": preferences.replies(folder), "opinpref_train": preferences.summaries(folder)}
    lines = [
        [f"`{name}`", f"`{record}`", f"{len(pairs.answers):,}", percent(preferences.agreement(scores, pairs))]
        for record, pairs in sets.items()
        for name, reward in preferences.WITHOUT_REFERENCE.items()
        for scores in [preferences.scores(reward, pairs)]
    ]
    return table(["reward", "records", "pairs", "in agreement, %"], lines)


def percent(estimate: Estimate) -> str:
    return interval(estimate, 100, 1)


def interval(estimate: Estimate, factor: float, digits: int) -> str:
    value, low, high = (number(factor * each, digits) for each in estimate)
    return f"{value} [{low}, {high}]"


def number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))

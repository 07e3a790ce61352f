"""`python -m tests.evidence [DATA]`: compute every number of docs/evidence.md anew and write the page and its picture.

DATA is the folder of real records, by default shared/data beside the checkout. Needs about half an hour, most of it for
the small models of the process rewards.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from guerdon.models import SemanticSimilarity
from tests.conftest import SHARED

from .figure import draw_agreement
from .page import (
    FIGURE,
    PAGE,
    compare_all,
    comparison_table,
    place_in_record,
    regions,
    replace_regions,
    table,
)
from .preferences import REWARDS
from .step_rewards import HEAD, judge_solutions, judge_steps, step_table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.evidence", description="Rewrite docs/evidence.md.")
    parser.add_argument("data", type=Path, nargs="?", default=SHARED / "data", help="folder of real records")
    folder = parser.parse_args().data
    compared = [*compare_all(folder, REWARDS), place_in_record(folder)]
    encoded = compare_all(folder, {"semantic_similarity": SemanticSimilarity()})
    made = {
        **regions(folder, compared),
        "encoder": comparison_table(encoded),
        "step rewards of solutions": table(HEAD, step_table(judge_solutions, folder)),
        "step rewards of steps": table(HEAD, step_table(judge_steps, folder)),
    }
    PAGE.write_text(replace_regions(PAGE.read_text("utf-8"), made), "utf-8")
    draw_agreement([*compared[:-1], *encoded, compared[-1]], FIGURE)


if __name__ == "__main__":
    main()

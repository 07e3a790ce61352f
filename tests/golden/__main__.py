"""`python -m tests.golden DIR [--only SLUG …] [--json]`.

Exit code: 0 where nothing failed, 1 where a case failed, 2 where a case file can't be read. A call without an
adapter is reported as missing and fails nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .adapters import load_adapters
from .replay import CaseFileError, Report, replay_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay a folder and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description="Replay golden cases.")
    parser.add_argument("folder", type=Path, help="folder of case files")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="SLUG", help="replay the files of these slugs"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        reports = replay_folder(options.folder, load_adapters(), only=options.only)
    except CaseFileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({slug: report.as_json() for slug, report in reports.items()}, indent=1))
    else:
        print_reports(reports)
    return int(any(report.failed for report in reports.values()))


def print_reports(reports: dict[str, Report]) -> None:
    """One line a slug; below it one for each case that failed or is disputed and each missing call."""
    for slug, report in reports.items():
        counts = f"{report.passed} passed, {len(report.failed)} failed, {len(report.disputed)} disputed"
        print(f"{slug}: {counts}, {len(report.missing)} calls missing")
        for name, problem in report.failed.items():
            print(f"  failed    {name}: {problem}")
        for name, reason in report.disputed.items():
            print(f"  disputed  {name}: {reason}")
        for call in report.missing:
            print(f"  missing   {call}")
    passed = sum(report.passed for report in reports.values())
    failed = sum(len(report.failed) for report in reports.values())
    print(f"{len(reports)} slugs: {passed} passed, {failed} failed")


if __name__ == "__main__":
    sys.exit(main())

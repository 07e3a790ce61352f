"""The `guerdon` command: its commands, and how errors look."""

from __future__ import annotations

import os
import sys
import warnings

import typer

from guerdon.cli import audit, catalogue, claims, demo, report, score, train
from guerdon.core.extras import MissingExtra
from guerdon.core.registry import UnknownName

app = typer.Typer(
    name="guerdon",
    help="The reward layer: score, train and report with rewards that are specified once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("score")(score.score)
app.command("list")(catalogue.list_entries)
app.command("show")(catalogue.show)
app.command("methods")(catalogue.methods)
app.command("train")(train.train)
app.command("report")(report.report)
app.command("demo")(demo.demo)
app.add_typer(claims.app, name="claims")
app.add_typer(audit.app, name="audit")

# What a user can mend: one line. Anything else is a defect of ours and says so.
_EXPECTED = (ValueError, TypeError, OSError, UnknownName, MissingExtra, RuntimeError)


@app.callback()
def options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Options of every command."""
    del debug


def run() -> None:
    """Entry point: an error is one line on standard error and a non-zero exit; `--debug` anywhere shows the traceback."""
    debug = "--debug" in sys.argv
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != "--debug"]
    if not debug:
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
    try:
        app()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
    except Exception as error:
        if debug:
            raise
        expected = isinstance(error, _EXPECTED)
        text = " ".join(str(error).split()) or type(error).__name__
        prefix = "error" if expected else f"unexpected {type(error).__name__}"
        print(f"guerdon: {prefix}: {text}" + ("" if expected else " (--debug shows where)"), file=sys.stderr)
        sys.exit(1 if expected else 70)


if __name__ == "__main__":
    run()

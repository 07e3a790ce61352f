"""`python -m guerdon`."""

from guerdon.cli.main import run

run()

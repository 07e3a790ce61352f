"""Replay of golden cases: `python -m tests.golden DIR` runs a folder of case files through the public API."""

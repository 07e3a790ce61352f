"""Adapters to other frameworks; nothing here decides anything."""

from guerdon.connect import openrlhf, trl, verl

__all__ = ["openrlhf", "trl", "verl"]

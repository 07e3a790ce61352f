"""Small worlds and tiny models that tests, claims and the demo share."""

from guerdon.lab.arithmetic import (
    CALCULATOR,
    Arithmetic,
    ArithmeticEnv,
    Check,
    Problem,
    calculator,
    check,
    evaluate,
)
from guerdon.lab.play import play
from guerdon.lab.policy import TRAINING, make_policy

__all__ = [
    "CALCULATOR",
    "TRAINING",
    "Arithmetic",
    "ArithmeticEnv",
    "Check",
    "Problem",
    "calculator",
    "check",
    "evaluate",
    "make_policy",
    "play",
]

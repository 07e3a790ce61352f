"""guerdon: the reward layer. Specify, learn, judge, compose, credit, optimise and audit rewards.

samples ──▶ Reward ──▶ Signal ──▶ transforms ──▶ credit ──▶ trainer / search / report
"""

from guerdon.core.algebra import gate, maximum, minimum
from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.function import reward
from guerdon.core.io.reader import read
from guerdon.core.preferences import Preference, outcome_pairs
from guerdon.core.recipe import load_reward
from guerdon.core.registry import register, set_rooms
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat, Episode, Media, Sample, Step
from guerdon.core.signal import Abstain, Score, Signal, Status
from guerdon.core.transform import Transform
from guerdon.engine.run import score

__version__ = "0.1.0"

set_rooms(
    [
        "guerdon.core.predicates",
        "guerdon.verify",
        "guerdon.models",
        "guerdon.shape",
        "guerdon.credit",
        "guerdon.steer",
        "guerdon.train",
        "guerdon.audit",
        "guerdon.lab",
    ]
)

__all__ = [
    "Abstain",
    "Chat",
    "Context",
    "Dense",
    "Episode",
    "Media",
    "Preference",
    "Reward",
    "Sample",
    "Score",
    "Signal",
    "Status",
    "Step",
    "Transform",
    "gate",
    "load_reward",
    "maximum",
    "minimum",
    "outcome_pairs",
    "read",
    "register",
    "reward",
    "score",
]

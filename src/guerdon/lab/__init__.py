"""Small worlds and tiny models that tests, claims and the demo share."""

from guerdon.lab.arithmetic import Arithmetic, ArithmeticCheck
from guerdon.lab.bandits import Bandits, BanditsCheck
from guerdon.lab.chain_rewards import ChainAnswer
from guerdon.lab.chains import ChainCheck, Chains
from guerdon.lab.env import WorldEnv
from guerdon.lab.model_routing import ModelRouting, ModelRoutingCheck
from guerdon.lab.play import play
from guerdon.lab.policy import TRAINING, make_policy
from guerdon.lab.text_to_sql import TextToSql, TextToSqlCheck
from guerdon.lab.tool_tasks import ToolTasks, ToolTasksCheck
from guerdon.lab.two_hop import TwoHop, TwoHopCheck
from guerdon.lab.world import Task, Verdict, World

__all__ = [
    "TRAINING",
    "Arithmetic",
    "ArithmeticCheck",
    "Bandits",
    "BanditsCheck",
    "ChainAnswer",
    "ChainCheck",
    "Chains",
    "ModelRouting",
    "ModelRoutingCheck",
    "Task",
    "TextToSql",
    "TextToSqlCheck",
    "ToolTasks",
    "ToolTasksCheck",
    "TwoHop",
    "TwoHopCheck",
    "Verdict",
    "World",
    "WorldEnv",
    "make_policy",
    "play",
]

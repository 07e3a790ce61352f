"""Language models that are asked: one protocol, and its clients."""

from guerdon.judges.chat import ChatModel, ModelError, Reply, Sampling, Usage, ask
from guerdon.judges.local import LocalChat
from guerdon.judges.openai import OpenAIChat
from guerdon.judges.replay import Recorder, ReplayChat

__all__ = [
    "ChatModel",
    "LocalChat",
    "ModelError",
    "OpenAIChat",
    "Recorder",
    "ReplayChat",
    "Reply",
    "Sampling",
    "Usage",
    "ask",
]

"""Running rewards: workers that can be killed, requests, cache, resumable files, and Ray."""

from guerdon.engine.cache import DiskCache, Store
from guerdon.engine.coroutines import Requests
from guerdon.engine.files import FileRun, ResumeError, score_file
from guerdon.engine.pool import PoolError
from guerdon.engine.run import Engine, score

__all__ = [
    "DiskCache",
    "Engine",
    "FileRun",
    "PoolError",
    "Requests",
    "ResumeError",
    "Store",
    "score",
    "score_file",
]

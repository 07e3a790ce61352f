"""Running rewards: workers that can be killed, requests, cache, resumable files, Ray; and untrusted programs."""

from guerdon.engine.cache import DiskCache, Store
from guerdon.engine.coroutines import Requests
from guerdon.engine.files import FileRun, ResumeError, score_file
from guerdon.engine.http import Endpoint, EndpointError
from guerdon.engine.pool import PoolError
from guerdon.engine.run import Engine, score
from guerdon.engine.sandbox import Execution, Limits, ProcessSandbox, Sandbox, SandboxError, run_python

__all__ = [
    "DiskCache",
    "Endpoint",
    "EndpointError",
    "Engine",
    "Execution",
    "FileRun",
    "Limits",
    "PoolError",
    "ProcessSandbox",
    "Requests",
    "ResumeError",
    "Sandbox",
    "SandboxError",
    "Store",
    "run_python",
    "score",
    "score_file",
]

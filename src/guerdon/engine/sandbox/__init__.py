"""Running untrusted programs: limits, the protocol of a sandbox, and the one that is a process."""

from guerdon.engine.sandbox.execution import Ending, Execution, Limits, Sandbox, SandboxError
from guerdon.engine.sandbox.process import ProcessSandbox, run_python

__all__ = ["Ending", "Execution", "Limits", "ProcessSandbox", "Sandbox", "SandboxError", "run_python"]

"""The page of claims: what each paper says, what was measured, and the verdict, with a plot."""

from guerdon.view.claims.page import write_claims_page
from guerdon.view.claims.plot import plot

__all__ = ["plot", "write_claims_page"]

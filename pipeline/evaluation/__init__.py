"""Each route's prompt on its own cases: how well every model does, and the cheapest that meets the bar."""

from pipeline.evaluation.results import Result, lines
from pipeline.evaluation.run import evaluate

__all__ = ["Result", "evaluate", "lines"]

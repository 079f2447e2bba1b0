"""Each route's prompt on its cases: how well every model does, and the cheapest that meets the bar."""

from pipeline.evaluation.planning import Wish
from pipeline.evaluation.results import Result
from pipeline.evaluation.run import Evaluation, evaluate
from pipeline.evaluation.showing import lines

__all__ = ["Evaluation", "Result", "Wish", "evaluate", "lines"]

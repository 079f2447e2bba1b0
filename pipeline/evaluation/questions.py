"""The questions of a task: its cases, from the file beside its prompt or from the team's reviewed tickets.

A case is a line of `prompts/<task>/cases.jsonl`. Marking is done by program alone, against what the case
states; what it leaves out is not marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.assembly import Brain
from pipeline.drafting import rubric, summaries, writing
from pipeline.errors import ConfigError, InputError
from pipeline.evaluation.draft_cases import DraftQuestion, SentCase, SentQuestion
from pipeline.evaluation.helper_cases import SummaryQuestion, WritingQuestion
from pipeline.evaluation.marks import Question
from pipeline.evaluation.triage_cases import TriageCase, TriageQuestion, read_triage_cases

MEASURES: dict[str, tuple[str, ...]] = {
    "triage": TriageQuestion.MEASURES,
    "routine": DraftQuestion.MEASURES,
    "draft": DraftQuestion.MEASURES,
    "summary": SummaryQuestion.MEASURES,
    "writing": WritingQuestion.MEASURES,
}
"""Task → what its cases measure, in the order in which it is shown."""

OF_TICKETS: dict[str, tuple[str, ...]] = {
    "triage": tuple(
        name
        for name in TriageQuestion.MEASURES
        if name not in ("route_accuracy", "missed_escalations", "needless_escalations")
    ),
    "routine": (*SentQuestion.MEASURES, *SentQuestion.NUMBERS),
    "draft": (*SentQuestion.MEASURES, *SentQuestion.NUMBERS),
}
"""What reviewed tickets can measure, of the tasks that they show anything of."""


def questions(brain: Brain, task: str, path: Path) -> Sequence[Question]:
    """The cases of a task's file. Raises `InputError` or `ConfigError` naming file and line."""
    if not path.is_file():
        raise InputError(
            f"{path}: there are no cases for {task}; write some there, one JSON object a line, "
            "or name a file with --cases"
        )
    found: Sequence[Question]
    if task == "triage":
        found = [TriageQuestion(brain, case) for case in read_triage_cases(path, brain.routes.topics)]
    elif task == "summary":
        summed = summaries.read_cases(path)
        _try_patterns(path, ((case.id, case.rubric) for case in summed))
        found = [SummaryQuestion(brain, case) for case in summed]
    elif task == "writing":
        texts = writing.read_cases(path)
        _try_patterns(path, ((case.id, case.rubric) for case in texts))
        found = [WritingQuestion(brain, case) for case in texts]
    else:
        drafted = rubric.read_cases(path)
        _try_patterns(path, ((case.id, case.rubric) for case in drafted))
        found = [DraftQuestion(brain, case, task == "draft") for case in drafted]
    if not found:
        raise InputError(f"{path}: holds no case; write some, one JSON object a line")
    return found


def of_tickets(brain: Brain, task: str, rows: Iterable[Mapping[str, Any]]) -> Sequence[Question]:
    """The questions that reviewed tickets make, from the rows that a run keeps of them."""
    if task == "triage":
        return [TriageQuestion(brain, TriageCase.model_validate(row)) for row in rows]
    return [SentQuestion(brain, SentCase.model_validate(row), task == "draft") for row in rows]


def _try_patterns(path: Path, rubrics: Iterable[tuple[str, BaseModel]]) -> None:
    for case, wanted in rubrics:
        for key in type(wanted).model_fields:
            patterns = getattr(wanted, key)
            for pattern in patterns if isinstance(patterns, list | dict) else ():
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ConfigError(f"{path}: case {case}, {key}: {pattern!r}: {error}") from None

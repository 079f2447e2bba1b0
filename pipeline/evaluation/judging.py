"""A second reader for texts: a model that judges by a closed rubric. Shown apart; no bar hangs on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import ModelOutputInvalid
from pipeline.evaluation.marks import Marked
from pipeline.evaluation.runs import Verdict
from pipeline.evaluation.scores import Share
from pipeline.models.gateway import Context, Gateway, Plan
from pipeline.models.prompts import Prompts

PROMPT = ("judge", "strong")
CRITERIA = ("correct", "complete", "tone", "promises", "language")
MAX_OUTPUT_TOKENS = 800
MAX_WHY_CHARS = 500


class VerdictAnswer(BaseModel):
    """A verdict as a model returns it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    correct: bool
    complete: bool
    tone: bool
    promises: bool
    language: bool
    why: str


VERDICT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        **{name: {"type": "boolean"} for name in CRITERIA},
        "why": {"type": "string", "description": "the gravest fault, in one sentence"},
    },
    "required": [*CRITERIA, "why"],
    "additionalProperties": False,
}


def judge(
    gateway: Gateway, prompts: Prompts, plan: Plan, model: str, case: str, brief: Mapping[str, str]
) -> Verdict:
    """What the plan's model says of an answer of `model`. Raises `AllModelsFailed`."""
    answered = gateway.ask(
        plan,
        prompts.load(*PROMPT).render(**brief),
        Context(task="judge", route="strong"),
        schema=VERDICT_SCHEMA,
        schema_name="verdict",
        input={},
        check=read_verdict,
    )
    found = answered.value
    marks = {name: bool(getattr(found, name)) for name in CRITERIA}
    why = " ".join(found.why.split())[:MAX_WHY_CHARS]
    return Verdict(plan.choices[0].key, model, case, marks, why, answered.cost_usd)


def read_verdict(text: str) -> VerdictAnswer:
    """Raises `ModelOutputInvalid` with what the model is to mend."""
    try:
        return VerdictAnswer.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise ModelOutputInvalid(f"{where}: {first['msg']}") from None


@dataclass(frozen=True)
class Judged:
    """What one judge said of one model's answers.

    `good` counts for each criterion; `agreement` is how often judge and program say the same, for what
    both look at: language, promises, and whether it passed as a whole.
    """

    judge: str
    good: dict[str, Share]
    agreement: dict[str, Share]

    def to_json(self) -> dict[str, Any]:
        return {
            "judge": self.judge,
            "good": {name: share.to_json() for name, share in self.good.items()},
            "agreement": {name: share.to_json() for name, share in self.agreement.items()},
        }


def judged(verdicts: Sequence[Verdict], answers: Mapping[str, Marked]) -> list[Judged]:
    """One row for each judge; `answers` are the model's by case."""
    found = []
    for name in dict.fromkeys(verdict.judge for verdict in verdicts):
        own = [v for v in verdicts if v.judge == name and v.case in answers]
        if not own:
            continue
        good = {
            criterion: Share(sum(v.marks[criterion] for v in own), len(own)) for criterion in CRITERIA
        } | {"all": Share(sum(all(v.marks.values()) for v in own), len(own))}
        pairs: dict[str, list[bool]] = {}
        for verdict in own:
            marks = answers[verdict.case].marks
            if "language" in marks:
                pairs.setdefault("language", []).append(verdict.marks["language"] == marks["language"])
            if "promises" in marks:  # the program's mark says that there is a stray promise
                pairs.setdefault("promises", []).append(verdict.marks["promises"] != marks["promises"])
            if "passed" in marks:
                pairs.setdefault("passed", []).append(all(verdict.marks.values()) == marks["passed"])
        agreement = {criterion: Share(sum(same), len(same)) for criterion, same in pairs.items()}
        found.append(Judged(name, good, agreement))
    return found

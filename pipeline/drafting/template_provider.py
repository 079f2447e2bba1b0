"""The reply templates behind the one door to a model: a draft at no cost, with its own row in the ledger."""

from __future__ import annotations

import json
import time

from pipeline.drafting import templates
from pipeline.errors import ModelRejected, ModelTimeout, Usage
from pipeline.models.base import ModelAnswer, ModelRequest

NAME = "templates"
WHY = "No model wrote this: it is the reply template for {topic}, filled with what was found in the message."


class TemplateProvider:
    """A `Provider` that fills a reply template from `request.input` and reads no prompt."""

    name = NAME

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        """The filled template as a draft's JSON text. Raises `ModelRejected` for any other task."""
        started = time.monotonic()
        given = request.input
        if "topic" not in given or "messages" not in given:
            raise ModelRejected("the reply templates answer drafts only", usage=Usage())
        reply = templates.reply(
            str(given.get("topic") or ""),
            str(given.get("language") or ""),
            given.get("fields") or {},
            given.get("customer_name"),
            str(given.get("emotion") or "calm"),
            str(given.get("sender_name") or ""),
            text="\n".join(str(m["text"]) for m in given["messages"] if m.get("role") == "customer"),
        )
        if time.monotonic() - started > deadline_s:
            raise ModelTimeout("the reply templates took too long", usage=Usage())
        answer = {
            "reply": reply.text,
            "language": reply.language,
            "asks": list(reply.asks),
            "why": WHY.format(topic=reply.topic),
            "claims": [{"text": found, "supported_by": "thread"} for found in reply.found],
        }
        return ModelAnswer(
            text=json.dumps(answer, ensure_ascii=False),
            usage=Usage(),
            model=f"{NAME}-{reply.language}-{reply.digest}",
        )

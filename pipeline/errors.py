"""Every error that triage raises, in one tree; each says what to do with it.

TriageError                     one plain line for the operator, with the mend
├── ConfigError                 a setting, a file or a table is wrong: fix it, then start again
├── StoreError                  the database cannot be used as it is
│   └── SchemaError             its schema is not the one this code knows
├── InputError                  a file, an address or an argument cannot be used
│   └── NeedsAgreement              a spend cap stands in the way, and an agent may agree to pass it
├── UnreachableError            a database, broker, inbox or provider does not answer
├── NotFoundError               there is no such ticket, review, agent, ...
├── ConflictError               somebody else was faster; look again
├── MoveRefused                 the lifecycle has no such move
├── LeaseLost                   another worker holds the step now, or the ticket has moved on
├── AllModelsFailed                 model, retry, backup and safe default all failed: a person
│   └── OneSided                    of two that were to be compared one came: it is the row's draft now
├── BudgetExceeded              a cap would be passed; nothing was called
└── ModelError                  a model call failed; the subclass says where to go next
    ├── ModelTransient          once more on the same model, then the backup
    │   ├── ModelTimeout            the total deadline of the call passed
    │   ├── ModelOverloaded         408, 409, 429 with a short wait, 5xx, 529
    │   ├── ModelTransport          connection refused, reset, cut
    │   └── ModelUndecodable        a 200 that is not what the protocol says
    ├── ModelUnavailable        straight to the backup: key, credit, permission, unknown model
    │   ├── ModelNoKey              no key is set for the provider: not even tried
    │   ├── ModelPaused             its circuit breaker is open: not even tried
    │   ├── ModelBusy               its limits stayed reached: not even tried
    │   ├── ModelCredit             out of credit or quota
    │   └── ModelRejected           401, 403, 404 and other 4xx
    ├── ModelRefused            the model or a content filter would not answer: the backup
    ├── ModelTooLong            the input is over the model's window
    ├── ModelOutputCut          the answer ended at the length limit: once more with a larger one
    └── ModelOutputInvalid      the answer failed its schema or its checks: one repair try
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any


class TriageError(Exception):
    """The base: its text is one plain line that says what is wrong and what mends it."""


class ConfigError(TriageError):
    """A setting or a configuration file is wrong; the message names file, line or variable."""


class StoreError(TriageError):
    """The database cannot be used as it is."""


class SchemaError(StoreError):
    """The database's schema is not the one this code knows; `triage migrate` or a newer triage mends it."""


class InputError(TriageError):
    """A file or an argument that was handed in cannot be used."""


class NeedsAgreement(InputError):
    """The call would pass a cap that an agent may agree to pass: ask them, then ask again with their word."""


class UnreachableError(TriageError):
    """Something outside (database, broker, inbox, provider, mail server) does not answer."""


class NotFoundError(TriageError):
    """What was asked for by its number or name does not exist."""


class ConflictError(TriageError):
    """The row changed since it was read; the loser of a race reads again and decides."""


class MoveRefused(TriageError):
    """The lifecycle table has no such move."""


class LeaseLost(TriageError):
    """The step's lease ran out and somebody else has it, or the ticket moved on: the result is dropped."""


class BudgetExceeded(TriageError):
    """A reservation would pass a cap. `scope` names the cap (`day`, `task:draft`, `ticket:12`, ...)."""

    def __init__(self, message: str, *, scope: str) -> None:
        super().__init__(message)
        self.scope = scope

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), scope=self.scope), self.args


@dataclass(frozen=True)
class Usage:
    """Tokens of one model call, as the provider counted them.

    `input_tokens` includes cached and cache-written ones, whatever the provider's own convention.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0


class ModelError(TriageError):
    """A model call failed. `usage` is what was used all the same, None where nobody can know."""

    kind = "error"

    def __init__(self, message: str, *, usage: Usage | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.usage = usage
        self.status = status


class ModelTransient(ModelError):
    """Worth one more try on the same model."""

    kind = "transient"


class ModelTimeout(ModelTransient):
    """The call's total deadline passed; what it cost is unknown."""

    kind = "timeout"


class ModelOverloaded(ModelTransient):
    """The provider is busy or failing; `retry_after_s` is its own word, where it gave one."""

    kind = "overloaded"

    def __init__(
        self,
        message: str,
        *,
        usage: Usage | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, usage=usage, status=status)
        self.retry_after_s = retry_after_s


class ModelTransport(ModelTransient):
    """The connection failed before a whole answer was there."""

    kind = "transport"


class ModelUndecodable(ModelTransient):
    """A 200 whose body is not what the protocol says (HTML, cut or broken JSON)."""

    kind = "undecodable"


class ModelUnavailable(ModelError):
    """This provider will not serve us now, however often we ask."""

    kind = "unavailable"


class ModelNoKey(ModelUnavailable):
    """No key is set for the provider; nothing was sent."""

    kind = "no_key"


class ModelPaused(ModelUnavailable):
    """The model failed of late and is left alone until its breaker lets a probe through; nothing was sent."""

    kind = "paused"


class ModelBusy(ModelUnavailable):
    """The model's limit on calls at once or a minute is reached; nothing was sent.

    `retry_in_s` is when it is worth asking again, None where only the end of another call can tell.
    """

    kind = "busy"

    def __init__(self, message: str, *, retry_in_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_in_s = retry_in_s


class ModelCredit(ModelUnavailable):
    """Out of credit or quota."""

    kind = "credit"


class ModelRejected(ModelUnavailable):
    """The provider refused the request itself: key, permission, unknown model, bad request."""

    kind = "rejected"


class ModelRefused(ModelError):
    """The model, or a content filter, would not answer."""

    kind = "refused"


class ModelTooLong(ModelError):
    """The input does not fit the model's window."""

    kind = "too_long"


class ModelOutputCut(ModelError):
    """The answer ended at the length limit."""

    kind = "cut"


class ModelOutputInvalid(ModelError):
    """The answer failed its schema or its checks; the message can be shown to the model for repair."""

    kind = "invalid"


class AllModelsFailed(TriageError):
    """Every model that may be asked was asked, or could not be paid for.

    `kinds` are the error kinds in the order of the attempts ("budget" where a cap forbade one).
    """

    def __init__(self, message: str, *, kinds: tuple[str, ...]) -> None:
        super().__init__(message)
        self.kinds = kinds

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), kinds=self.kinds), self.args


class OneSided(AllModelsFailed):
    """One of two drafts to compare did not come; the other one is kept as an ordinary draft."""

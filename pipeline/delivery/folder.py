"""The mailer of a store without a mail server: replies become .eml files in a folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pipeline.delivery.compose import Outgoing, compose, wire_bytes
from pipeline.delivery.outcomes import Accepted, Outcome, Permanent, Temporary, plain
from pipeline.errors import InputError


class FolderMailer:
    """Writes each reply to `path` under a name made of its ticket and Message-ID: twice is one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def where(self) -> str:
        return f"the folder {self.path} (no TRIAGE_SMTP_URL is set: nothing leaves this machine)"

    def send(self, outgoing: Outgoing) -> Outcome:
        try:
            data, _utf8 = wire_bytes(compose(outgoing))
        except InputError as error:
            return Permanent(str(error))
        digest = hashlib.sha256(outgoing.message_id.encode()).hexdigest()[:12]
        target = self.path / f"ticket-{outgoing.ticket_id:06d}-{digest}.eml"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            draft = target.with_suffix(".part")
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except OSError as error:
            return Temporary(plain(f"cannot write {target}: {error.strerror or error}"))
        return Accepted(f"written to {target}; no TRIAGE_SMTP_URL is set")

"""Reading a page as a person without JavaScript would: its forms, with what they would send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2
from lxml import html


@dataclass(frozen=True)
class Form:
    action: str
    values: dict[str, str]

    def send(self, client: httpx2.Client, action: str | None = None, **changes: str) -> httpx2.Response:
        return client.post(action or self.action, data={**self.values, **changes})


_SENT = "[not(@type='checkbox' or @type='radio') or @checked]"
"""Of boxes only those with a tick are sent."""


def forms(page: httpx2.Response) -> list[Form]:
    found = []
    for form in tree(page).xpath("//form[@method='post' and @action]"):
        values = {i.get("name"): i.get("value") or "" for i in form.xpath(f".//input[@name]{_SENT}")}
        values |= {t.get("name"): t.text or "" for t in form.xpath(".//textarea[@name]")}
        for select in form.xpath(".//select[@name]"):
            chosen = select.xpath("./option[@selected]") or select.xpath("./option")[:1]
            values[select.get("name")] = (chosen[0].get("value") or chosen[0].text or "") if chosen else ""
        found.append(Form(form.get("action"), values))
    return found


def form(page: httpx2.Response, ending: str) -> Form:
    return next(f for f in forms(page) if f.action.endswith(ending))


def tree(page: httpx2.Response) -> Any:
    return html.fromstring(page.text)


def words(page: httpx2.Response) -> str:
    return " ".join(tree(page).text_content().split())

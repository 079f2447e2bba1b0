"""Tells whether a page was attacked: what ran, what was fetched, what the policy had to stop, what stands there.

A page of ours holds only what our templates write: their elements, attributes, ids and names, and addresses
of our own. Whatever else stands in it came out of somebody's text, and is found even where it does nothing.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from pipeline.web.queue import _NAMES
from pipeline.web.render import HERE
from tests.web.hostile import PRODUCT

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request

_ALARM = """(() => {
  const tell = (words) => { if (window.tripped) window.tripped(words); };
  for (const name of ["alert", "confirm", "prompt", "print", "open"])
    window[name] = (...given) => { tell(`ran ${name}(${given[0]})`); return null; };
  document.addEventListener("securitypolicyviolation", (event) =>
    tell(`policy stopped ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`), true);
})()"""

_SCAN = r"""([known, texts]) => {
 const scan = (document) => {
  const found = [], ids = new Set();
  const say = (element, what) => found.push(`${what} in ${element.outerHTML.slice(0, 200)}`);
  const fits = (patterns, value) => patterns.some((pattern) => new RegExp(`^${pattern}$`).test(value));
  const addresses = ["href", "data-href", ...Object.keys(known.asked)];
  const heads = ["meta", "title", "style", "base"];
  for (const element of document.querySelectorAll("*")) {
    const tag = element.localName;
    if (element.closest("svg.qr") || ["html", "head", "body"].includes(tag) && !element.attributes.length) continue;
    if (!(tag in known.attributes)) { say(element, "a foreign element"); continue; }
    if (heads.includes(tag) && element.closest("body")) say(element, "what belongs in the head");
    for (const { name, value } of element.attributes) {
      if (![...known.attributes[tag], ...known.ours].includes(name)) say(element, `a foreign ${name}`);
      if (addresses.includes(name)) {
        let url = null;
        try { url = new URL(value, location.href); } catch {}
        if (!/^([/](?![/])|#|$)/.test(value) || url?.origin !== location.origin)
          say(element, `an address elsewhere, ${name}`);
        else if (name in known.asked && !fits(known.asked[name], value)) say(element, `a foreign address, ${name}`);
      }
    }
    if (tag === "script" && !element.getAttribute("src")?.startsWith("/static/")) say(element, "a foreign script");
    if (tag === "link" && !["stylesheet", "icon"].includes(element.rel)) say(element, "a hint to the browser");
    if (element.id && (!fits(known.ids, element.id) || ids.has(element.id))) say(element, "a foreign or second id");
    ids.add(element.id);
    const name = element.getAttribute("name");
    if (name !== null && !fits(known.names, name)) say(element, "a foreign name");
    if (name === "csrf" && (element.type !== "hidden" || element.form?.elements.csrf !== element))
      say(element, "a second token");
  }
  const parts = [...document.querySelectorAll("body, textarea, input")].map((part) => part.value ?? part.textContent);
  if (parts.some((text) => text.includes("PRODUCT"))) found.push("a template was evaluated");
  return found;
 };
 const parsed = (text) => new DOMParser().parseFromString(text, "text/html");
 return texts ? texts.map((text) => scan(parsed(text))) : scan(document);
}""".replace("PRODUCT", PRODUCT)

_MADE = {  # what is written by pipeline.web.render and by our scripts, and what htmx leaves on its elements
    "time": {"datetime", "title", "data-local"},
    "mark": {"class", "data-kind", "id"},
}
_ASKED = ("src", "srcset", "action", "formaction", "hx-get", "hx-post", "data-keep", "data-action")
_OURS = ["hidden", "open", "disabled", "data-sent", "data-htmx-powered"]


class _Read(HTMLParser):
    """The elements, attributes, ids and names of a template whose statements are taken out."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: dict[str, set[str]] = {tag: set(names) for tag, names in _MADE.items()}
        self.ids, self.names = {"at-[0-9]+"}, set[str]()
        self.asked: dict[str, set[str]] = {name: set() for name in _ASKED}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.setdefault(tag, set()).update(name for name, _ in attrs)
        for name, value in attrs:
            if name == "name" and value == "VALUE":
                self.names.update(_NAMES)  # the queue's filters
            elif name in ("id", "name") and value:
                pattern = re.escape(value).replace("VALUE", "[A-Za-z0-9_-]+")
                (self.ids if name == "id" else self.names).add(pattern)
            elif name in _ASKED and value:
                path, query, _ = value.partition("?")
                pattern = re.escape(path).replace("VALUE", "[\\w./-]+") + ("\\?.*" if query else "")
                self.asked[name].add(pattern)


def _known() -> dict[str, Any]:
    read = _Read()
    for template in (HERE / "templates").glob("*.html"):
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
        read.feed(re.sub(r"\{\{.*?\}\}", "VALUE", text, flags=re.DOTALL))
        read.close()
        read.reset()
    return {
        "attributes": {tag: sorted(names) for tag, names in read.attributes.items()},
        "ids": sorted(read.ids),
        "names": sorted(read.names),
        "asked": {name: sorted(patterns) for name, patterns in read.asked.items()},
        "ours": _OURS,
    }


class Tripwire:
    """Listens to all pages of a browser context. `seen` holds what happened, as (address, words).

    `asked_for` is a pattern of what pages at `own` ask for by themselves.
    """

    def __init__(self, context: BrowserContext, own: str, asked_for: str, *, console: bool = True) -> None:
        self.seen: list[tuple[str, str]] = []
        self.opened: set[str] = set()
        self._own = own
        self._asked_for = re.compile(f"{re.escape(own)}(?:{asked_for})")
        self._known = _known()
        context.expose_binding("tripped", lambda source, words: self._note(source["frame"].url, words))
        context.add_init_script(_ALARM)
        context.on("request", self._requested)
        context.on("dialog", self._dialog)
        if console:
            context.on("console", self._console)
            context.on(
                "weberror", lambda error: self._note(error.page.url if error.page else "", str(error.error))
            )

    def open(self, page: Page, path: str) -> None:
        """Go to a page; raises AssertionError when it answers with an error of ours."""
        url = f"{self._own}{path}"
        self.opened.add(url)
        answer = page.goto(url)
        assert answer is not None
        self.opened.add(answer.url)
        assert answer.status < 500, f"{answer.status} at {path}"

    def scan(self, frame: Page) -> None:
        """Note what stands in the page that our templates do not write."""
        for words in frame.evaluate(_SCAN, [self._known, None]):
            self._note(frame.url, words)

    def scan_parsed(self, page: Page, texts: list[str]) -> list[list[str]]:
        """What each of the texts would leave as a page of its own; they are parsed, and nothing of them runs."""
        found: list[list[str]] = page.evaluate(_SCAN, [self._known, texts])
        return found

    def _note(self, url: str, words: str) -> None:
        self.seen.append((url, words))

    def _requested(self, request: Request) -> None:
        if request.url not in self.opened and not self._asked_for.fullmatch(request.url):
            self._note(request.url, f"fetched by {request.resource_type}")

    def _dialog(self, dialog: Dialog) -> None:
        self._note("", f"ran alert({dialog.message})")
        dialog.dismiss()

    def _console(self, message: ConsoleMessage) -> None:
        refused = (
            "the server responded with a status of 4" in message.text
            and message.location["url"] in self.opened
        )
        if message.type == "error" and not refused:
            self._note(message.location["url"], f"console: {message.text}")

"""Signatures at the end of what somebody wrote: delimiters, sign-offs, contact blocks, mobile lines, disclaimers
and list footers, in many languages; and the warning banners that mail gateways put above."""

from __future__ import annotations

import re

from pipeline.ingest.attribution import is_rule
from pipeline.ingest.signature_phrases import (
    BANNER,
    COMPANY,
    CONTACT,
    DELIMITER,
    DISCLAIMER,
    DISCLAIMER_WORDS,
    HYPHEN_NAME,
    JOB,
    LIST_FOOTER,
    MOBILE_ENGLISH,
    NAME_WORDS,
    SENT_FROM,
    SENT_ON_THE_GO,
    SENTENCE,
    SIGN_OFF,
    SIGN_OFF_NAMED,
    THANKS_LINE,
)

_MAX_SIGNATURE_LINES = 16
_LOGO = re.compile(
    r"\s*(?:\[[^\[\]\n]{1,60}\]|[A-Z0-9]{1,30}(?:[_-][A-Z0-9]{1,30}){1,5}|[\w.-]{1,60}\.(?:png|jpe?g|gif))\s*"
)
"""What is left of an image in plain text: `[cid:logo.png]`, `LOGO_SMALL`, `logo.png`."""
_FOOTNOTE = re.compile(r"\s*\[[\w*]{1,3}\]")


def cut_signature(
    lines: list[str], sender: str = "", *, all_of_it: bool = False
) -> tuple[list[str], list[str]]:
    """`(kept, signature lines)`; the lines are what one author wrote, without quotes. `all_of_it` says that
    nothing need be left, as below an answered quote.

    Only the end is looked at, again and again, as a signature comes in layers: list footer, disclaimer, mobile
    line, contact block, sign-off.
    """
    kept = _trimmed(lines)
    cut: list[str] = []
    if all_of_it:
        kept.insert(0, "")  # every rule leaves the first line
    at = _delimiter(kept)
    if at is not None:
        cut = kept[at:]
        kept = _trimmed(kept[:at])
    names = _sender_names(sender)
    for _ in range(8):
        at = _one_layer(kept, names)
        if at is None:
            break
        cut = kept[at:] + cut
        kept = _trimmed(kept[:at])
    return kept, cut


def without_banner(lines: list[str]) -> list[str]:
    """The text without the "this mail came from outside" paragraph that a gateway put on top."""
    start = next((i for i, line in enumerate(lines) if line.strip()), 0)
    end = start
    while end < len(lines) and lines[end].strip() and end - start < 8:
        end += 1
    paragraph = " ".join(line.strip() for line in lines[start:end])
    if end < len(lines) and len(paragraph) < 600 and BANNER.match(paragraph):
        rest = _trimmed(lines[end:])
        while rest and (not rest[0].strip() or is_rule(rest[0])):
            rest = rest[1:]
        if rest:
            return rest
    return lines


def _trimmed(lines: list[str]) -> list[str]:
    end = len(lines)
    while end and (not lines[end - 1].strip() or is_rule(lines[end - 1])):
        end -= 1
    return lines[:end]


def _delimiter(lines: list[str]) -> int | None:
    """The line `-- `: by convention all below is signature. Without its blank, only a short rest is."""
    best: int | None = None
    below = 0
    for index in range(len(lines) - 1, 0, -1):
        line = lines[index]
        bare = line.strip()
        delimits = bare[:1] in ("-", "—", "–", "―") and bare != "" and DELIMITER.match(line) is not None
        if delimits and (below <= _MAX_SIGNATURE_LINES or line == "-- "):
            best = index
        below += bare != ""
        if below > 40:
            break
    return best


def _one_layer(lines: list[str], names: list[str]) -> int | None:
    """Where the last layer of the signature begins, or None."""
    if not lines:
        return None
    for rule in (_footer, _mobile, _sign_off, _hyphen_name, _contact_block, _own_name):
        at = rule(lines, names)
        if at is not None and (at > 0 or len(lines) == 0):
            return at
    return None


def _last_paragraph(lines: list[str], end: int | None = None) -> int:
    at = (len(lines) if end is None else end) - 1
    while at > 0 and lines[at - 1].strip() and not is_rule(lines[at - 1]):
        at -= 1
    return at


def _footer(lines: list[str], _names: list[str]) -> int | None:
    """A disclaimer or a list footer at the end; a rule above it goes with it."""
    # A footer of several paragraphs is found from its first: look at the last few, the farthest that fits.
    starts: list[int] = []
    end = len(lines)
    while end > 0 and len(starts) < 12 and len(lines) - end < 60:
        start = _last_paragraph(lines, end)
        starts.append(start)
        end = start
        while end > 0 and (not lines[end - 1].strip() or is_rule(lines[end - 1])):
            end -= 1
    found: int | None = None
    for position, start in enumerate(starts):
        stop = starts[position - 1] if position else len(lines)
        paragraph = " ".join(line.strip() for line in lines[start:stop] if line.strip())
        if _is_disclaimer(paragraph[:1_500]) and (len(paragraph) > 60 or position or _title(paragraph)):
            found = start
        elif position == 0 and len(paragraph) < 500 and LIST_FOOTER.search(paragraph):
            ruled = start > 0 and is_rule(lines[start - 1])
            if ruled or "http" in paragraph or len(paragraph) < 160:
                found = start
        elif found is None and position >= 3:
            break
    return found


def _is_disclaimer(paragraph: str) -> bool:
    lowered = paragraph.lower()
    return any(word in lowered for word in DISCLAIMER_WORDS) and DISCLAIMER.search(paragraph) is not None


def _title(paragraph: str) -> bool:
    return len(paragraph) < 40


def _mobile(lines: list[str], _names: list[str]) -> int | None:
    for at in range(len(lines) - 1, max(len(lines) - 7, -1), -1):
        line = lines[at].strip()
        if not line or len(line) > 160:
            continue
        if MOBILE_ENGLISH.match(line) or SENT_FROM.match(line) or SENT_ON_THE_GO.match(line):
            below = [rest for rest in lines[at + 1 :] if rest.strip()]
            if all(len(rest) < 80 and not SENTENCE.search(rest) for rest in below):
                return at
    return None


def _sign_off(lines: list[str], names: list[str]) -> int | None:
    """ "Kind regards," with a name and what hangs below it; thanks only with a name below."""
    below = 0
    for at in range(len(lines) - 1, -1, -1):
        line = lines[at].strip()
        if not line:
            continue
        if len(line) <= 70 and line.count(" ") < 9:
            rest = [r.strip() for r in lines[at + 1 :] if r.strip() and not is_rule(r)]
            if SIGN_OFF.match(line) or (at and SIGN_OFF_NAMED.match(line) and not SENTENCE.search(line)):
                if not rest or _hangs_below(rest, names):
                    return _with_thanks_above(lines, at)
            elif rest and THANKS_LINE.match(line) and _hangs_below(rest, names) and _is_name(rest[0], names):
                return at
        below += 1
        if below > _MAX_SIGNATURE_LINES + 6:
            return None
    return None


def _with_thanks_above(lines: list[str], at: int) -> int:
    """ "Thanks," right above "Best regards," belongs to it only where it stands alone."""
    above = at - 1
    while above > 0 and not lines[above].strip():
        above -= 1
    if (
        above > 0
        and len(lines[above]) < 30
        and THANKS_LINE.match(lines[above].strip())
        and lines[above].rstrip().endswith(",")
    ):
        return above
    return at


def _hangs_below(rest: list[str], names: list[str]) -> bool:
    """Whether lines can stand in a signature: a name first, no sentences, not too many."""
    if len(rest) > _MAX_SIGNATURE_LINES:
        return False
    sentences = sum(1 for line in rest if len(line) > 100 or SENTENCE.search(line))
    contacts = sum(1 for line in rest if _is_contact(line))
    if sentences and contacts < 2:
        return sentences == 0
    if sentences > 2:
        return False
    return _is_name(rest[0], names) or contacts > 0 or len(rest) <= 3


def _is_name(line: str, names: list[str]) -> bool:
    lowered = line.lower()
    if any(name in lowered for name in names) and len(line) < 60:
        return True
    return len(line) <= 50 and bool(NAME_WORDS.match(line))


def _is_contact(line: str) -> bool:
    # A numbered link is a footnote of the text, not a way to reach somebody.
    return len(line) < 200 and CONTACT.search(line) is not None and not _FOOTNOTE.match(line)


def _hyphen_name(lines: list[str], names: list[str]) -> int | None:
    """`-Ann Smith` or `/Ann` as the last line, or above a contact line or two; not the last item of a list."""
    for at in range(len(lines) - 1, max(len(lines) - 4, -1), -1):
        line = lines[at]
        match = HYPHEN_NAME.match(line) if len(line) < 60 else None
        if match and at > 0:
            name = match.group("name")
            above = lines[at - 1].lstrip()
            listed = above[:1] in "-–—•*" and above[:2].strip() != ""
            if not listed and name[:1] != name[:1].lower() and not SENTENCE.search(line) and len(name) < 40:
                rest = [r for r in lines[at + 1 :] if r.strip()]
                if all(_is_contact(r) or JOB.search(r) for r in rest):
                    return at
        if line.strip() and not _is_contact(line):
            break
    return None


def _sender_names(sender: str) -> list[str]:
    """Forms under which the sender may sign: the whole name, the address, the first name."""
    sender = sender.strip().lower()
    if not sender:
        return []
    names = [sender]
    words = re.findall(r"[^\W\d_][\w'’-]+", sender.partition("@")[0])
    if words and "@" not in sender:
        names.append(words[0])
        if "," in sender and len(words) > 1:
            names.append(words[1])
    return [name for name in names if len(name) > 1]


def _own_name(lines: list[str], names: list[str]) -> int | None:
    """A last paragraph that begins with the sender's own name and holds nothing but short lines."""
    if not names:
        return None
    start = _last_paragraph(lines)
    for at in range(max(start, len(lines) - 10), len(lines)):
        line = lines[at].strip().strip("*_-–— ,.").lower()
        if not line or not any(line == name or (name == names[0] and name in line) for name in names):
            continue
        rest = [r.strip() for r in lines[at + 1 :] if r.strip()]
        if len(line) < 60 and at and all(len(r) < 80 and not SENTENCE.search(r) for r in rest):
            return at
    return None


def _contact_block(lines: list[str], names: list[str]) -> int | None:
    """Short lines at the end of which at least two say how to reach somebody, from the name above them on."""
    end = len(lines)
    start = end
    contacts = others = 0
    best: int | None = None
    while start > 0 and end - start < _MAX_SIGNATURE_LINES + 8:
        line = lines[start - 1].strip()
        if line and (
            len(line) > 90 or (SENTENCE.search(line) and not _is_contact(line)) or line.endswith(":")
        ):
            break
        start -= 1
        if not line:
            continue
        if _is_contact(line):
            contacts += 1
        elif (
            _is_name(line, names)
            or COMPANY.search(line)
            or JOB.search(line)
            or is_rule(line)
            or len(line) < 45
        ):
            others += 1
        opens = start == 0 or not lines[start - 1].strip() or bool(is_rule(lines[start - 1]))
        ends_well = any(test(line) for test in (_is_contact, JOB.search, COMPANY.search, is_rule)) or (
            _is_name(line, names)
        )
        if opens and contacts >= 2 and ends_well and others <= contacts * 2 + 2:
            best = start
            if not is_rule(line) and _is_name(line, names) and any(name in line.lower() for name in names):
                break
    if best is None or best == 0:
        return None
    # A list of addresses or links that the text announces is content, not a signature.
    above = next((i for i in range(best - 1, -1, -1) if lines[i].strip()), 0)
    if lines[above].rstrip().endswith((":", "：")):
        return None
    # A rule and the name of a logo may stand between the text and the block: they are the block's.
    if _LOGO.fullmatch(lines[above]):
        ruled = next((i for i in range(above - 1, 0, -1) if lines[i].strip()), 0)
        if ruled and is_rule(lines[ruled]):
            return ruled
    return best

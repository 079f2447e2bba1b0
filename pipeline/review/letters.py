"""The parts of a reply: greeting, body and sign-off, without quotes and signature.

Measures compare the body; a greeting or a sign-off that an agent words differently is no rewrite.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_GREETINGS = """
hi hello hey dear greetings good\\ morning good\\ afternoon good\\ evening good\\ day
hallo moin servus grüezi guten\\ tag guten\\ morgen guten\\ abend sehr\\ geehrte[rsn]? liebe[rs]? werte[rs]?
bonjour bonsoir salut cher chère chers madame monsieur
hola buenos\\ días buenos\\ dias buenas\\ tardes buenas\\ noches buen\\ día
estimad[oa]s? apreciad[oa]s? querid[oa]s?
ciao salve buongiorno buon\\ giorno buonasera gentile gentilissim[oa] egregi[oa] spettabile car[oa]
hoi dag beste geachte goedemorgen goedemiddag goedenavond goedendag goeiedag
olá ola oi bom\\ dia boa\\ tarde boa\\ noite prezad[oa]s? caríssim[oa] exm[oa]\\.?
cześć dzień\\ dobry witam witaj szanown[yai] hej kära bästa kjære kære hyvä merhaba sayın dobrý\\ den
здравствуйте добрый\\ день уважаем(?:ый|ая|ые) привет
"""
_CLOSINGS = """
(?:with\\ )?(?:best|kind|warm|warmest|kindest)\\ (?:regards|wishes) regards best all\\ the\\ best sincerely
warmly (?:have\\ )?a\\ (?:great|nice|good|lovely|wonderful)\\ (?:day|week|weekend|evening)
yours(?:\\ (?:truly|sincerely|faithfully))? sincerely\\ yours respectfully cheers take\\ care
(?:many\\ )?thanks(?:\\ (?:again|so\\ much|a\\ lot|in\\ advance))? thank\\ you(?:\\ (?:again|so\\ much))?
(?:mit\\ )?(?:freundlichen?|besten?|herzlichen?|vielen?|lieben?|schönen?)\\ (?:grüßen?|grüssen?|gruß|gruss)
(?:einen\\ )?schönen\\ (?:tag|abend)(?:\\ noch)?
gruß gruss grüße grüsse mfg lg vg hochachtungsvoll vielen\\ dank danke\\ (?:sehr|schön)
(?:bien\\ )?cordialement (?:bien\\ )?à\\ vous (?:sincères|meilleures|cordiales)\\ salutations salutations
(?:nous\\ vous\\ prions|je\\ vous\\ prie|veuillez)\\ [^\\n]{0,80}salutations[^\\n]{0,30}
(?:très\\ )?amicalement (?:bonne|belle)\\ (?:journée|soirée) à\\ bientôt merci(?:\\ (?:d'avance|beaucoup))?
(?:muy\\ )?atentamente (?:reciba\\ )?(?:un\\ )?(?:cordial\\ )?saludo(?:s)?(?:\\ cordial(?:es)?)?
(?:un\\ )?(?:fuerte\\ )?abrazo abrazos ¡?hasta\\ pronto
cordialmente (?:muchas\\ )?gracias
(?:cordiali|distinti|cari|migliori)\\ saluti (?:un\\ )?(?:(?:cordiale|caro)\\ )?saluto
a\\ presto buona\\ giornata saluti grazie(?:\\ mille)?
(?:met\\ )?(?:vriendelijke|hartelijke|beste)\\ groet(?:en)? groet(?:en|jes)? mvg hoogachtend
(?:een\\ )?fijne\\ dag (?:alvast\\ )?bedankt
atenciosamente (?:com\\ os\\ )?(?:melhores\\ )?cumprimentos (?:um\\ )?(?:grande\\ )?abraço
abraços att cordiais\\ cumprimentos (?:muito\\ )?obrigad[oa]
(?:serdecznie\\ )?pozdrawiam(?:y)?(?:\\ serdecznie)? z\\ poważaniem z\\ wyrazami\\ szacunku miłego\\ dnia
(?:med\\ )?vänliga?\\ hälsning(?:ar)? mvh med\\ venlig\\ hilsen
med\\ vennlig\\ hilsen
ystävällisin\\ terveisin saygılarımla s\\ pozdravem с\\ уважением
"""


def _alternatives(phrases: str) -> str:
    words = re.findall(r"(?:\\ |\S)+", phrases)
    return "|".join(sorted((word.replace("\\ ", r"\s") for word in words), key=len, reverse=True))


_NAME = r"[^\s,!.:;?]+(?:\.[^\s,!.:;?]+)*\.?"  # "Anna", "Dr.", "dott.ssa"
_CALLED = r"(?-i:[A-ZÀ-ÖØ-ÞŁŚŻŹĆŠČŘŽ]|d(?:on|oña|ott)\b)"  # how a name begins, after "Hola, " or "Hi, "
_GREETING = re.compile(
    rf"\A(?:{_alternatives(_GREETINGS)})\b"
    rf"(?:,[^\S\n]+(?={_CALLED}){_NAME}(?:[^\S\n]+{_NAME}){{0,3}}[^\S\n]*[,!:，！：]+(?=\n|\Z)"
    rf"|(?:[^\S\n]+{_NAME}){{0,5}}[^\S\n]*(?:[,!:，！：]+|\.?(?=\n)|\.?\Z|\.(?=\s)))",
    re.IGNORECASE,
)
_GREETING_EAST = re.compile(
    r"\A(?:[^\n、。,]{1,20}(?:様|さま|さん|御中|님|先生|女士|小姐)[、，,：:.]?[^\S\n]*(?:[您你]好[：:！!，,。]*\s*)?\n"
    r"|(?:こんにちは|こんばんは|おはようございます|はじめまして|您好|你好|안녕하세요|안녕하십니까)[^\n。！!、，,]{0,12}[。！!、，,.\n]\s*"
    r"|(?:いつも)?(?:大変)?お世話になって(?:おります|います)[。\n]\s*"
    r"|(?:尊敬|敬爱|亲爱)的[^\n：:，,]{1,20}[：:，,]\s*)+"
)
_CLOSING = re.compile(
    rf"(?:{_alternatives(_CLOSINGS)})(?:\s(?:aus|from|de|desde|da|uit)\s[\w\-]+)?"
    r"\s*(?:[,.!]+\s*(?:[\w'’.\-]+\s*){0,5})?",
    re.IGNORECASE,
)
_CLOSING_EAST = re.compile(
    r"(?:どうぞ|何卒|今後とも)?(?:よろしく|宜しく)(?:お願い)?(?:(?:いた|致)します|申し上げます|します)?[。.]?"
    r"|敬具|草々|(?:此致\s*)?敬礼[！!]?|此致|敬上|谨启|祝好|祝您[^\n]{0,12}|顺[颂祝][^\n]{0,6}|(?:谢谢|多谢)[您你]?[！!。]?|감사합니다\.?|고맙습니다\.?"
)
_SIGNATURE = re.compile(
    r"^-- ?$|^_{5,}$|^Sent from my \w+|^Von meinem \w+ gesendet"
    r"|^(?:Envoyé de mon|Enviado (?:desde mi|do meu)|Inviato da(?:l mio)?|Verstuurd vanaf mijn|Wysłane z)"
    r" \S+(?: \S+)?$|^[A-Za-z]\w{2,12}から送信$|^发自我的[^\n]{2,20}$",
    re.MULTILINE,
)
_QUOTE_HEAD = re.compile(
    r"^(?:On|Am|Le|El|Il|Op|Em|Den|Dnia|W dniu|(?:pon|wt|śr|czw|pt|sob|niedz)\.,)(?=\W)[^\n]{5,120}"
    r"(?:\n[^\n]{0,60}[<@][^\n]{0,80})?"
    r"(?:wrote|schrieb[^\n:]{0,60}|a écrit|escribió|ha scritto|schreef[^\n:]{0,60}|escreveu|skrev"
    r"|napisał(?:a|\(a\))?|pisze)\s?:\s*$"
    r"|^\d{4}年[^\n]*(?:\d:\d\d|@)[^\n]*[:：]\s*$|^[^\n]{5,120}写道\s?[:：]\s*$"
    r"|^-{2,}\s*(?:Original Message|Ursprüngliche Nachricht|Message d'origine|Mensaje original)\s*-{2,}\s*$"
    r"|^(?:From|Von|De|Da|Van|Od|差出人|发件人)\s?[:：][^\n]+\n(?:Sent|Date|Gesendet|Datum|Envoyé|Enviad[oa]|Inviato"
    r"|Verzonden|Wysłano|送信日時|发送时间)\s?[:：]",
    re.MULTILINE | re.IGNORECASE,
)
CLOSING_LINES = 6
"""A sign-off begins at most so many lines before the end."""


@dataclass(frozen=True)
class Letter:
    """A reply taken apart; each part is stripped and may be empty."""

    greeting: str
    body: str
    sign_off: str


def take_apart(text: str) -> Letter:
    """Greeting, body and sign-off of a reply; quoted mail and the signature block are left out."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf"))
    text = text.replace("\u00a0", " ").replace("\u202f", " ")
    for end in (_QUOTE_HEAD, _SIGNATURE):
        found = end.search(text)
        if found:
            text = text[: found.start()]
    lines = [line.strip() for line in text.split("\n") if not line.lstrip().startswith(">")]
    text = "\n".join(lines).strip()
    greeting, rest = _split_greeting(text)
    body, sign_off = _split_sign_off(rest)
    return Letter(greeting=greeting, body=body, sign_off=sign_off)


def _split_greeting(text: str) -> tuple[str, str]:
    found = _GREETING_EAST.match(text) or _GREETING.match(text)
    if not found or found.end() > 120:
        return "", text
    return found.group().strip(), text[found.end() :].strip()


def _split_sign_off(text: str) -> tuple[str, str]:
    lines = text.split("\n")
    filled = [number for number, line in enumerate(lines) if line]
    for number in filled[-CLOSING_LINES:]:
        line = lines[number]
        if _CLOSING.fullmatch(line) or _CLOSING_EAST.fullmatch(line):
            return "\n".join(lines[:number]).strip(), "\n".join(lines[number:]).strip()
    return text, ""

"""The lines that mail programs put before what they quote, in many languages: "On … wrote:", "-----Original
Message-----", From/Sent/To/Subject blocks, forward marks."""

# ruff: noqa: E501 - wide scripts count double

from __future__ import annotations

import re

_WROTE = (
    r"wrote|writes|said|napisana przez|schrieb(?:en)?|schreibt|hat geschrieben|geschrieben|a écrit|écrit"
    r"|a ecrit|escribió|escribio"
    r"|escrib[ií]a|escreveu|ha scritto|scrive|scritto|schreef|heeft geschreven|(?:het volgende )?geschreven"
    r"|napisał(?:\(a\)|a|/a)?|napisal(?:\(a\)|a|/a)?|pisze|skrev|skriver|følgende|kirjoitti|napsal(?:\(a\)|a"
    r"|/a)?"
    r"|napísal(?:\(a\)|a)?|írta|ezt írta|a scris|şunu yazdı|şunları yazdı|yazdı|написал(?:\(а\)|а)?|пишет"
    r"|писал(?:а)?"
    r"|написав(?:\(ла\))?|пише|έγραψε|va escriure|ha escrit|kirjutas|rašė|rakstīja|je napisa[ol](?:/la|\(la\)"
    r"|la|a)?"
    r"|написа|menulis|đã viết|เขียนว่า|写道|寫道|写了|寫了|書きました|のメール|のメッセージ|작성|כתב|כתבה|كتب|skribis"
)
_MONTH = (
    r"jan|feb|m[aä]r|apr|ma[ijy]|jun|jul|aug|sep|oct|okt|nov|dec|dez|janv|f[eé]vr|avr|juin|juil|ao[uû]t"
    r"|d[eé]c|ene"
    r"|abr|ago|dic|fev|mai|set|out|gen|mag|giu|lug|ott|mrt|mei|sty|lut|kwi|maj|cze|lip|sie|wrz|pa[źz]|lis|gru"
    r"|tammi"
    r"|helmi|maalis|huhti|touko|kesä|heinä|elo|syys|loka|marras|joulu|led|úno|bře|dub|kvě|čer|srp|zář|říj|pro"
    r"|oca"
    r"|şub|nis|haz|tem|ağu|eyl|eki|kas|ara|янв|фев|мар|апр|ма[йя]|июн|июл|авг|сен|окт|ноя|дек"
)
# Something only a date or a time looks like: a year, a clock time, 24.12. or 12/24, 2023年.
_DATE = (
    r"\b(?:19|20)\d\d\b|\b\d{1,2}[:.h]\d{2}\b|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}[年./-]|"
    rf"\b\d{{1,2}}\.?(?:\s+de)?\s+(?:{_MONTH})|(?:{_MONTH})\w*\.?\s+\d{{1,2}}\b"
)
_WEEKDAY = (
    r"mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so|lun|mar|mer|mié|jeu|jue|ven|vie|sam|sáb|dim|dom|seg"
    r"|ter|qua|qui"
    r"|sex|gio|sab|ma|wo|vr|za|zo|pon|wt|śr|czw|pt|sob|niedz|mån|tis|ons|tors|tor|fre|lör|lør|sön|søn|man|tir"
    r"|ti|ke"
    r"|to|pe|la|su|po|út|st|čt|pá|ne|пн|вт|ср|чт|пт|сб|вс|paz|pzt|sal|çar|per|cum|cmt"
)
_ON = (
    r"on|am|le|el|em|no dia|il(?: giorno)?|op|w dniu|dnia|den|på|dne|dňa|pe|în|v|am|il giorno|a|az|στις|vào"
    r"|pada|"
    r"dana|kuupäeval|на|о|at|mit datum vom|wiadomość napisana przez|am um"
)

_EMAIL = r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)*"
_HAS_WROTE = re.compile(rf"(?<!\w)(?:{_WROTE})(?!\w)|写道|寫道|のメール|님이 작성|wrote\s*[:：]", re.I)
_HAS_DATE = re.compile(_DATE, re.I)
_HAS_EMAIL = re.compile(_EMAIL)
# A start by which an attribution is known even when it is wrapped over several lines.
_STARTS = re.compile(
    rf"\W{{0,3}}(?:(?:{_ON})[\s,]|(?:{_WEEKDAY})\w*\.?,?\s+(?:de\s+)?(?:den\s+)?(?:\d"
    rf"|[A-Za-z]{{3}}\w*\.?\s+\d)|\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}}|"
    rf"\d{{4}}[-年./]\s?\d{{1,2}}|\d{{1,2}}\.?\s+(?:de\s+)?(?:{_MONTH})|(?:{_MONTH})\w*\.?\s+\d|在|于|\d{{4}}/\d"
    rf"|\[?mailto)",
    re.I,
)
# How the last line of an attribution ends: cheap to look at, so most lines are done with here.
_END_MARKS = (
    ":",
    "：",
    "wrote",
    "写道",
    "寫道",
    "geschreven",
    "écrit",
    "skrev",
    "escribió",
    "escreveu",
    "scritto",
)
_DIGIT = re.compile(r"\d")
_MAX_ATTRIBUTION = 600

FORWARD_MARK = re.compile(
    r"^[\s>]*(?:[-_=*]{2,}\s*(?:forwarded message|forwarded by\b.*|begin forwarded message"
    r"|weitergeleitete nachricht"
    r"|weitergeleitet von\b.*|message transf[eé]r[eé]|message r[eé]exp[eé]di[eé]|mensaje reenviado"
    r"|mensagem (?:encaminhada|reencaminhada)|messaggio inoltrato|inoltrato da\b.*|doorgestuurd bericht"
    r"|wiadomość przekazana(?: dalej)?|przekazana wiadomość|treść przekazanej wiadomości"
    r"|vidarebefordrat meddelande"
    r"|videresendt (?:meddelelse|melding|besked)|edelleenlähetetty viesti|välitetty viesti|přeposlaná zpráva"
    r"|přeposlaný e-?mail|iletilen (?:mesaj|ileti)|пересылаемое (?:сообщение|письмо)"
    r"|переадресованное сообщение"
    r"|转发的?(?:邮件|消息)|轉寄的?郵件|转发邮件信息|転送(?:された)?メッセージ|továbbított üzenet|mesaj redirecționat)\s*[-_=*]{2,}"
    r"|(?:begin forwarded message|anfang der weitergeleiteten (?:nachricht|e-?mail)"
    r"|début du message (?:transféré|réexpédié)"
    r"|début du message réexpédié|inicio del mensaje reenviado|início da mensagem (?:encaminhada"
    r"|reencaminhada)"
    r"|inizio messaggio inoltrato|begin doorgestuurd bericht|początek przekazywanej wiadomości"
    r"|vidarebefordrat brev"
    r"|videresendt besked|start på videresendt melding|välitetty viesti alkaa|začátek přeposílané zprávy"
    r"|転送されたメッセージ|以下是转发的邮件|下面是被转发的邮件|начало переадресованного сообщения|başlangıç iletilen ileti)\s*[:：])",
    re.I | re.M,
)
ORIGINAL_MARK = re.compile(
    r"^\s*(?:[-_=*–—]{2,}\s*(?:original(?:\s+(?:message|mail|e-?mail|appointment))?|reply message"
    r"|(?:ursprüngliche|originale?) (?:nachricht|e-?mail|mail)|originalnachricht|ursprünglicher termin"
    r"|message d['’ ]origine|message original|mail original|mensaje original|mensagem original"
    r"|messaggio originale"
    r"|oorspronkelijk(?:e)? (?:bericht|e-?mail)|origineel bericht|(?:oryginalna|pierwotna) wiadomość"
    r"|wiadomość oryginalna|ursprungligt meddelande|originalmeddelande|oprindelig (?:meddelelse|besked|mail)"
    r"|opprinnelig melding|original melding|alkuperäinen viesti|původní (?:zpráva|e-?mail)|pôvodná správa"
    r"|eredeti üzenet|mesajul original|mesaj original|(?:orijinal|özgün|asıl) (?:mesaj|ileti|i̇leti)"
    r"|исходное (?:сообщение|письмо)|оригинальное сообщение|первоначальное сообщение|вихідне повідомлення"
    r"|原始(?:邮件|郵件|信息|消息)|元のメッセージ|元の(?:メール|文)|original-nachricht|원본 ?메[일시]지?"
    r"|αρχικό μήνυμα|izvorna poruka|originalna poruka|missatge original)\s*[-_=*–—]{2,}"
    r"|original message processed by .{1,40}|(?:[#*=-]{2,}[^\w\n]*)?(?:please )?(?:type|write"
    r"|enter)? ?(?:your )?reply above this line.{0,20}"
    r"|[#=*-]{2,}.{0,40}(?:above this line|über dieser (?:zeile|linie)|au-dessus de cette ligne"
    r"|encima de esta línea"
    r"|acima desta linha|sopra questa (?:riga|linea)|boven deze (?:regel|lijn)|powyżej tej linii"
    r"|ovanför denna rad"
    r"|over denne linje|以上に返信|此行以上).{0,60}"
    r"|(?:type|write|enter) your (?:reply|response) above this line.{0,20})\s*$",
    re.I,
)
_RULED_TITLE = re.compile(r"^\s*[-_=*–—]{3,}\s*\S.{2,50}?\s*[-_=*–—]{3,}\s*$")

_LABELS = {
    "from": "from|von|absender|de|expéditeur|remitente|da|mittente|van|afzender|od|nadawca|från|avsändare|fra|afsender"
    "|avsender|lähettäjä|odesílatel|odosielateľ|feladó|de la|kimden|gönderen|от|от кого|від|发件人|寄件者|寄件人|發件人"
    "|差出人|送信者|보낸 ?사람|από|rem",
    "date": "sent|date|gesendet|datum|envoyé|date d'envoi|enviado|enviado el|enviada(?: em)?|fecha|data|inviato|verzonden"
    "|wysłano|wysłane|data wysłania|skickat|skickades|sendt|dato|lähetetty|päivämäärä|päiväys|odesláno"
    "|odoslané|elküldve"
    "|trimis|gönderme tarihi|gönderilen|gönderildi|tarih|отправлено|дата|надіслано|发送时间|发送日期|日期|寄件日期|傳送時間"
    "|送信日時|日付|日時|送信|보낸 ?날짜|날짜|ημερομηνία|received|sent at|sent on|when|poslano",
    "to": "to|an|empfänger|à|pour|destinataire|para|destinatario|a|aan|do|till|til|vastaanottaja|komu|címzett|către"
    "|kime|alıcı|кому|до|收件人|收件者|宛先|받는 ?사람|προς|za|per|mottagare|modtager",
    "cc": "cc|kopie|copie|copia|kopia|kopio|cópia|bcc|c\\.c\\.|копия|抄送|副本|参照|bilgi|参考|copie à|dw|másolat|antwort an"
    "|reply-to|répondre à|responder a|rispondi a|importance|wichtigkeit|priority|priorität|attachments?"
    "|anlagen?"
    "|pièces? jointes?|adjuntos|allegati|bijlagen?|organization|list-id|organisation|cc:n",
    "subject": "subject|betreff|objet|asunto|assunto|oggetto|onderwerp|temat|ämne|emne|aihe|předmět|predmet|tárgy|subiect"
    "|konu|тема|主题|主旨|主題|件名|标题|標題|제목|θέμα|betr|re|sujet",
}
_CLASS_OF = {label: kind for kind, labels in _LABELS.items() for label in labels.replace("\\", "").split("|")}
for _label in (
    "보낸사람",
    "보낸 사람",
    "보낸날짜",
    "보낸 날짜",
    "받는사람",
    "받는 사람",
    "enviada",
    "enviada em",
):
    _CLASS_OF[_label] = "from" if "보낸" in _label and "람" in _label else "to" if "받" in _label else "date"
for _label in ("attachment", "attachments", "anlage", "anlagen", "pièces jointes", "bijlage", "bijlagen"):
    _CLASS_OF[_label] = "cc"
_LABEL_LINE = re.compile(r"^[\s>|*_•·-]{0,6}([^\W\d_][\w .'’-]{0,22}?)\s*[*_]{0,2}\s?[:：][*_]{0,2}\s*(.*)$")


def label_of(line: str) -> tuple[str, str] | None:
    """`(from | date | to | cc | subject, value)` when the line is one of a quoted mail's header block."""
    if ":" not in line and "：" not in line:
        return None
    match = _LABEL_LINE.match(line)
    if match is None:
        return None
    kind = _CLASS_OF.get(match.group(1).strip().lower().replace("’", "'"))
    return (kind, match.group(2).strip("* \t")) if kind else None


def header_block(lines: list[str], at: int) -> int | None:
    """Where the body begins below a quoted mail's header block that starts at `at`; None if there is none.

    A block says who and at least when and about what, or when, to whom, with an address; so three lines of a
    customer's itinerary ("From: Berlin", "To: Prague", "Date: 3 May") are not taken for one.
    """
    first = label_of(lines[at])
    if first is None or first[0] in ("to", "cc"):
        return None
    seen: dict[str, str] = {}
    end = at
    misses = 0
    index = at
    limit = min(len(lines), at + 24)
    while index < limit:
        line = lines[index]
        label = label_of(line)
        if label is not None:
            if label[0] in seen and label[0] == first[0]:
                break
            seen[label[0]] = seen.get(label[0], "") + label[1]
            end = index + 1
            misses = 0
        elif not line.strip():
            # Some programs put an empty line between the label lines; two end the block.
            following = next((i for i in range(index + 1, min(limit, index + 3)) if lines[i].strip()), None)
            if following is None or label_of(lines[following]) is None or len(seen) >= 4:
                break
        else:
            # A long list of recipients, or a value on the line below its label.
            misses += 1
            if misses > 6 or ("subject" in seen and "from" in seen and len(seen) >= 3 and misses > 2):
                break
        index += 1
    if "from" not in seen:
        return None
    block = " ".join(seen.values())
    has_address = "@" in block or "@" in " ".join(lines[at:end])
    enough = (
        ("date" in seen and "subject" in seen)
        or ("to" in seen and "subject" in seen and len(seen) >= 3)
        or ("subject" in seen and has_address)
        or ("date" in seen and has_address)
        or ("to" in seen and "subject" in seen)
    )
    return end if enough else None


def attributions(lines: list[str]) -> dict[int, int]:
    """Where attributions ("On Monday Ann wrote:") begin, and the line after each.

    One may be wrapped over up to five lines. It ends with a colon or a verb, and holds a date with a verb or an
    address, so "On your server you can run:" is not one.
    """
    found: dict[int, int] = {}
    for last, line in enumerate(lines):
        end = line.rstrip(" *_\t\xa0")
        if not end.endswith(_END_MARKS) or len(end) > _MAX_ATTRIBUTION:
            continue
        start = _attribution_start(lines, last, end)
        if start is not None:
            found[start] = last + 1
    return found


def _attribution_start(lines: list[str], last: int, end: str) -> int | None:
    joined = ""
    for start in range(last, max(last - 5, -1), -1):
        piece = lines[start].strip() if start < last else end.strip()
        if not piece or (
            start < last and (piece[0] == ">" or (piece.endswith((":", "：")) and "@" not in piece))
        ):
            break
        joined = f"{piece} {joined}" if joined else piece
        if len(joined) > _MAX_ATTRIBUTION:
            break
        if _DIGIT.search(joined) is None:
            continue  # every date has one, and this is the cheapest thing to know
        starts = _STARTS.match(joined) is not None
        if starts and _is_attribution(joined, True):
            return start
        if last - start < 2 and _is_attribution(joined, False):
            # The name and address may stand on the line above, where the text begins with them.
            above = lines[start - 1].strip() if start else ""
            if (
                last == start
                and "@" in above
                and len(above) < 100
                and above[-1] not in ".!?:"
                and above[0] != ">"
            ):
                return start - 1
            return start
    return None


def _is_attribution(joined: str, starts: bool) -> bool:
    if _HAS_DATE.search(joined) is None:
        return False
    wrote = _HAS_WROTE.search(joined)
    address = _HAS_EMAIL.search(joined)
    if starts:
        return bool(wrote or (address and joined.rstrip(" *_").endswith((":", "："))))
    # Without a known first word the line must begin with a name or an address, not with a sentence.
    if wrote is None:
        return bool(address and address.end() + 12 > len(joined))
    return bool(address) or len(joined) < 120


def loose_attribution(line: str) -> bool:
    """A line that only the quoted lines right below it show to be an attribution ("Ann wrote:")."""
    stripped = line.strip(" *_\t")
    if len(stripped) > 250 or not stripped:
        return False
    if re.search(rf"(?<!\w)(?:{_WROTE})\W*$", stripped, re.I):
        return True
    if not stripped.endswith((":", "：")):
        return False
    return bool(_HAS_EMAIL.search(stripped) or (_HAS_DATE.search(stripped) and _HAS_WROTE.search(stripped)))


def is_rule(line: str) -> bool:
    """A line that is nothing but three or more dashes, underscores and the like."""
    bare = line.strip()
    return len(bare) > 2 and not bare.strip("-_=*~#–—― ")


def is_ruled_title(line: str) -> bool:
    """`---- some words ----`, in whatever language; a header block below decides what it is."""
    return len(line) < 120 and _RULED_TITLE.match(line) is not None

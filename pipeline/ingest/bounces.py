"""Delivery reports: RFC 3464 ones, and the many that mail servers word in their own way."""

from __future__ import annotations

import re

from pipeline.ingest.addresses import normalise_address
from pipeline.ingest.bounds import DEFAULT_BOUNDS, Meter, OverBound
from pipeline.ingest.charsets import decode
from pipeline.ingest.headers import Headers, as_text, decode_text, message_ids, read_block
from pipeline.ingest.message import Bounce, BouncedRecipient
from pipeline.ingest.structure import Part, read_tree

_DAEMON_ADDRESS = re.compile(
    r"(?:^|[\s<\"(,;])(?:mailer[-_.]?daemon|mail[-_.]?daemon|postmaster|mdaemon|mmdf|mail(?:er)?-?system|ndr|bounces?|bounce-handler"
    r"|emaildelivery\w*|mail-?delivery(?:-?(?:sub)?system)?|microsoftexchange[0-9a-f]{8,40}|dsn|delivery-?failure)(?:[\\+-][^@\s]*)?(?:@|[>\s]*$)",
    re.I,
)
_DAEMON_NAME = re.compile(
    r"mail(?:er)?[ -]?deliver(?:y|er)|mailer[- ]?daemon|^system administrator$|^systemadministrator$|^microsoft outlook$|postmaster"
    r"|mail administrator|internet mail (?:delivery|agent)|(?:mail|message) delivery (?:sub)?system|^mail ?system$",
    re.I,
)
_SUBJECT = re.compile(
    r"undeliver(?:ed|able)|un-?delivered|deliver(?:y|ies)?(?: (?:status|attempt))? (?:has )?(?:fail|problem|error|notification|report|delay|has|unsuccessful|incomplete)|deliver(?:y)? (?:status )?notification|mail (?:delivery |system )?(?:fail|error|delayed|returned|not delivered|could not)"
    r"|message (?:delivery |not |could not |you sent|status - undeliverable|undeliverable|delayed)|failure notice|failure delivery|fail(?:ed|ure)?:? ?(?:mail|delivery|notice|to deliver|permanent)|delivery ?(?:failure|failed|error)|returned (?:mail|message|e-?mail|to sender)|returning (?:message|mail|to) ?(?:to )?(?:sender)?|mail (?:failed|failure)|return(?:ed)? to sender"
    r"|(?:non|not)[- ]?deliver(?:y|ed|able)|could not (?:be deliver|send|deliver)|cannot (?:be deliver|send|deliver)|can't (?:be deliver|deliver)|no (?:such|valid) (?:user|recipient)|user unknown|unknown user|address (?:unknown|error|not found|rejected)|bounce(?:d)? (?:mail|message|e-?mail)|processing error|bad address|rejected (?:mail|posting)|(?:mailbox|quota) (?:is )?(?:full|exceeded)|permanent delivery|nondeliverable|failed mail|mail system error|"
    r"unzustellbar|nicht zugestellt|zustellung.{0,30}(?:fehl|nicht)|fehler bei der (?:zustellung|nachrichten)|rückläufer|non remis|échec (?:de la )?(?:remise|livraison|distribution)|non distribu|no (?:se )?(?:ha podido|pudo|entregad|entregable)|devuelto|fallo (?:en la )?entrega|error en la entrega|não (?:foi )?(?:entreg|pôde)|falha (?:na|de) entrega|devolvid|mancato recapito|non recapitabil|consegna (?:non riuscita|fallita)|impossibile recapitare|onbestelbaar|niet (?:bezorgd|afgeleverd)|kan niet worden bezorgd|niedostarczon|zwrot|nie (?:można|udało się) dostarczyć|"
    r"kan inte leverera|oleverer|misslyckad leverans|ikke leveres|kunne ikke lever|uleverbar|kan ikke lever|toimitus epäonnistui|ei voitu toimittaa|nedoručiteln|nedoručen|teslim edilemedi|iletilemedi|не доставлен|недоставлен|возвращен|ошибка доставки|配信できません|配信不能|配送エラー|送信エラー|退信|退回|无法送达|投递失败|傳送失敗|無法傳遞",
    re.I,
)
_FAILED = re.compile(
    r"(?:could|can|did|was|is|has|were|been|be|being|are|have)\s?(?:not|n[o']t)\s+(?:yet\s+)?(?:be(?:en)?\s+)?(?:able\s+to\s+(?:be\s+)?)?(?:deliver|reach|sent|receiv|find|accept|process|recogni|exist)|cannot\s+be\s+(?:deliver|reach)|unable\s+to\s+(?:deliver|be\s+deliver|relay|find|locate|send|reach)|(?:delivery|mail|message).{0,40}(?:failed|failure|unsuccessful|impossible)|undeliver|failed\s+(?:permanently|address|recipient)|following\s+(?:recipient|address|user|e-?mail|destination)\S*.{0,30}(?:fail|could|was|were|did|reject)"
    r"|addresses?\s+(?:failed|had\s+(?:permanent|delivery|transient|problem))|permanent\s+(?:fatal\s+)?(?:delivery\s+)?(?:error|fail)|user\s+unknown|unknown\s+user|no\s+such\s+(?:user|address|mailbox|recipient|person|account)|does(?:\s+not|n't)\s+(?:exist|have\s+an?)|did\s+not\s+(?:receive|reach|exactly\s+match)|mailbox\s+(?:is\s+)?(?:full|unavailable|not\s+found|disabled|exceeded|inactive)|over\s+quota|quota\s+exceeded|not\s+(?:a\s+)?(?:valid|known|listed|found)|returned\s+(?:to\s+(?:you|sender)|unopened|because)|has\s+been\s+(?:returned|rejected|delayed|postponed|disabled|discontinued|suspended)|5\d\d[ -][#]?5?\.?\d|gave\s+up|giving\s+up|undelivered|non-?delivery|rejected\s+(?:by|your|the)|bounced|message\s+(?:expired|delayed)|no\s+valid\s+recipients|still\s+(?:undelivered|trying)|unknown\s+(?:address|recipient|local|host)|recipients?\s+(?:unknown|rejected|failed)|inactive\s+account|no\s+longer\s+(?:valid|active|in\s+use|available|accepts|a\s+valid)|intended\s+recipient",
    re.I | re.S,
)
_FAILED_ELSEWHERE = re.compile(
    r"nicht (?:zugestellt|ausgeliefert|zustellbar|erreicht|gefunden)|unzustellbar|n['’]a pas (?:pu|été)|impossible de (?:remettre|livrer)|non (?:remis|distribué)|no (?:se )?(?:pudo|ha podido|existe|fue posible)|não (?:foi possível|pôde|existe)|non (?:è stato|può|esiste|recapit)|niet (?:worden|afgeleverd|bezorgd|bestaat)|nie (?:można|udało|istnieje|został)|kunde inte|kan inte|ikke (?:leveres|levert|findes)|ei voitu|nelze|nebyl[ao]? doručen|iletilemedi|не (?:доставлен|удалось|существует)|配信でき|届けられません|存在しません|无法|不存在|無法",
    re.I,
)
# The server says that it goes on: whatever else it says, the mail may still arrive.
_STILL_TRYING = re.compile(
    r"(?:attempts?|deliver(?:y|ies)|retr(?:y|ies))\s+will\s+continue|will\s+(?:keep|continue)\s+(?:to\s+)?(?:re)?-?(?:try|attempt|be)"
    r"|will\s+(?:continue\s+to\s+)?(?:try|attempt)(?:ed)?\s+(?:again|to\s+deliver)|will\s+be\s+(?:re)-?(?:tried|attempted)"
    r"|continue\s+(?:trying|retrying|attempting)|keep\s+trying|(?:has|have)\s+(?:not\s+yet|been\s+(?:delayed|postponed|deferred))"
    r"|not\s+yet\s+been\s+delivered|could\s+not\s+be\s+delivered\s+yet|still\s+(?:undelivered|trying|being\s+retried|in\s+the\s+queue)"
    r"|you\s+do\s+not\s+need\s+to\s+resend|(?:this\s+is\s+)?(?:only\s+a|a)\s+warning\s+(?:message\s+)?only"
    r"|wird\s+weiter(?:hin)?\s+versuch|weitere\s+zustellversuche|sera\s+(?:re)?tent[ée]|se\s+(?:volver[áa]\s+a\s+intentar|seguir[áa]\s+intentando)",
    re.I,
)
_TEMPORARY = re.compile(
    r"\bdelayed\b|\bpostponed\b|\bdeferred\b|temporar(?:y|ily)|transient (?:error|non-fatal|failure|delivery)|no action is required"
    r"|try again later|verzögert|vorübergehend|retardé|temporaire|retras|ritardat|opóźnion",
    re.I | re.S,
)
_PERMANENT = re.compile(
    r"permanent|(?<!non-)fatal error|giv(?:en|ing) up|gave up|has been (?:returned|removed|rejected)|message will (?:be|not be) (?:returned|deleted|retried)|i'm not going to try|user unknown|unknown user|no such user|does not exist|undeliverable|could not be delivered to|mail (?:delivery )?failed",
    re.I,
)
# Below such a line comes the mail that bounced, or a transcript of it.
_ORIGINAL_PHRASE = re.compile(
    r"below (?:this line )?(?:is|are) (?:a|the) (?:copy|header|original|text)|(?:[^\n]{0,30}\b)?original (?:message|mail)[^\n]{0,30} (?:follows|below|attached)"
    r"|the (?:original|header|text|first|following is|body|returned|rejected|unsent) (?:message|mail|of the|part|lines)?.{0,60}(?:follow|below|was|is|:)|original (?:message|mail|headers?)(?: as received)?.{0,40}[:-]"
    r"|(?:unsent|returned|undelivered) message (?:below|follows)|message (?:headers?|text|body|source|contents?) follows?|received message follows|your (?:original )?(?:message|mail)(?: \w+)? (?:follows|reads|was|is (?:below|appended|attached))"
    r"|copy of (?:the|your) (?:message|mail|original)|here is (?:a copy|your|the) |(?:the )?(?:first|top) \d+ (?:lines|bytes)|headers? of (?:the|your)|start of (?:returned|original|forwarded)"
    r"|received: (?:from|by)|return-path: ?<|message-id: ?<|x-[a-z-]+: |mime-version: 1",
    re.I,
)
_COPIED = ("original", "returned", "unsent", "copy", "header", "body", "text follow", "message follow", "mail follow", "below")
_ADDRESS = re.compile(
    r"(?:^|[\s<\"(,;])(?:mailer[-_.]?daemon|mail[-_.]?daemon|postmaster|mdaemon|mmdf|mail(?:er)?-?system|ndr|bounces?|bounce-handler"
    r"|emaildelivery\w*|mail-?delivery(?:-?(?:sub)?system)?|microsoftexchange[0-9a-f]{8,40}|dsn|delivery-?failure)(?:[\\+-][^@\s]*)?(?:@|[>\s]*$)",
    re.I,
)
_DAEMON_NAME = re.compile(
    r"mail(?:er)?[ -]?deliver(?:y|er)|mailer[- ]?daemon|^system administrator$|^systemadministrator$|^microsoft outlook$|postmaster"
    r"|mail administrator|internet mail (?:delivery|agent)|(?:mail|message) delivery (?:sub)?system|^mail ?system$",
    re.I,
)
_SUBJECT = re.compile(
    r"undeliver(?:ed|able)|un-?delivered|deliver(?:y|ies)?(?: (?:status|attempt))? (?:has )?(?:fail|problem|error|notification|report|delay|has|unsuccessful|incomplete)|deliver(?:y)? (?:status )?notification|mail (?:delivery |system )?(?:fail|error|delayed|returned|not delivered|could not)"
    r"|message (?:delivery |not |could not |you sent|status - undeliverable|undeliverable|delayed)|failure notice|failure delivery|fail(?:ed|ure)?:? ?(?:mail|delivery|notice|to deliver|permanent)|delivery ?(?:failure|failed|error)|returned (?:mail|message|e-?mail|to sender)|returning (?:message|mail|to) ?(?:to )?(?:sender)?|mail (?:failed|failure)|return(?:ed)? to sender"
    r"|(?:non|not)[- ]?deliver(?:y|ed|able)|could not (?:be deliver|send|deliver)|cannot (?:be deliver|send|deliver)|can't (?:be deliver|deliver)|no (?:such|valid) (?:user|recipient)|user unknown|unknown user|address (?:unknown|error|not found|rejected)|bounce(?:d)? (?:mail|message|e-?mail)|processing error|bad address|rejected (?:mail|posting)|(?:mailbox|quota) (?:is )?(?:full|exceeded)|permanent delivery|nondeliverable|failed mail|mail system error|"
    r"unzustellbar|nicht zugestellt|zustellung.{0,30}(?:fehl|nicht)|fehler bei der (?:zustellung|nachrichten)|rückläufer|non remis|échec (?:de la )?(?:remise|livraison|distribution)|non distribu|no (?:se )?(?:ha podido|pudo|entregad|entregable)|devuelto|fallo (?:en la )?entrega|error en la entrega|não (?:foi )?(?:entreg|pôde)|falha (?:na|de) entrega|devolvid|mancato recapito|non recapitabil|consegna (?:non riuscita|fallita)|impossibile recapitare|onbestelbaar|niet (?:bezorgd|afgeleverd)|kan niet worden bezorgd|niedostarczon|zwrot|nie (?:można|udało się) dostarczyć|"
    r"kan inte leverera|oleverer|misslyckad leverans|ikke leveres|kunne ikke lever|uleverbar|kan ikke lever|toimitus epäonnistui|ei voitu toimittaa|nedoručiteln|nedoručen|teslim edilemedi|iletilemedi|не доставлен|недоставлен|возвращен|ошибка доставки|配信できません|配信不能|配送エラー|送信エラー|退信|退回|无法送达|投递失败|傳送失敗|無法傳遞",
    re.I,
)
_FAILED = re.compile(
    r"(?:could|can|did|was|is|has|were|been|be|being|are|have)\s?(?:not|n[o']t)\s+(?:yet\s+)?(?:be(?:en)?\s+)?(?:able\s+to\s+(?:be\s+)?)?(?:deliver|reach|sent|receiv|find|accept|process|recogni|exist)|cannot\s+be\s+(?:deliver|reach)|unable\s+to\s+(?:deliver|be\s+deliver|relay|find|locate|send|reach)|(?:delivery|mail|message).{0,40}(?:failed|failure|unsuccessful|impossible)|undeliver|failed\s+(?:permanently|address|recipient)|following\s+(?:recipient|address|user|e-?mail|destination)\S*.{0,30}(?:fail|could|was|were|did|reject)"
    r"|addresses?\s+(?:failed|had\s+(?:permanent|delivery|transient|problem))|permanent\s+(?:fatal\s+)?(?:delivery\s+)?(?:error|fail)|user\s+unknown|unknown\s+user|no\s+such\s+(?:user|address|mailbox|recipient|person|account)|does(?:\s+not|n't)\s+(?:exist|have\s+an?)|did\s+not\s+(?:receive|reach|exactly\s+match)|mailbox\s+(?:is\s+)?(?:full|unavailable|not\s+found|disabled|exceeded|inactive)|over\s+quota|quota\s+exceeded|not\s+(?:a\s+)?(?:valid|known|listed|found)|returned\s+(?:to\s+(?:you|sender)|unopened|because)|has\s+been\s+(?:returned|rejected|delayed|postponed|disabled|discontinued|suspended)|5\d\d[ -][#]?5?\.?\d|gave\s+up|giving\s+up|undelivered|non-?delivery|rejected\s+(?:by|your|the)|bounced|message\s+(?:expired|delayed)|no\s+valid\s+recipients|still\s+(?:undelivered|trying)|unknown\s+(?:address|recipient|local|host)|recipients?\s+(?:unknown|rejected|failed)|inactive\s+account|no\s+longer\s+(?:valid|active|in\s+use|available|accepts|a\s+valid)|intended\s+recipient",
    re.I | re.S,
)
_FAILED_ELSEWHERE = re.compile(
    r"nicht (?:zugestellt|ausgeliefert|zustellbar|erreicht|gefunden)|unzustellbar|n['’]a pas (?:pu|été)|impossible de (?:remettre|livrer)|non (?:remis|distribué)|no (?:se )?(?:pudo|ha podido|existe|fue posible)|não (?:foi possível|pôde|existe)|non (?:è stato|può|esiste|recapit)|niet (?:worden|afgeleverd|bezorgd|bestaat)|nie (?:można|udało|istnieje|został)|kunde inte|kan inte|ikke (?:leveres|levert|findes)|ei voitu|nelze|nebyl[ao]? doručen|iletilemedi|не (?:доставлен|удалось|существует)|配信でき|届けられません|存在しません|无法|不存在|無法",
    re.I,
)
# The server says that it goes on: whatever else it says, the mail may still arrive.
_STILL_TRYING = re.compile(
    r"(?:attempts?|deliver(?:y|ies)|retr(?:y|ies))\s+will\s+continue|will\s+(?:keep|continue)\s+(?:to\s+)?(?:re)?-?(?:try|attempt|be)"
    r"|will\s+(?:continue\s+to\s+)?(?:try|attempt)(?:ed)?\s+(?:again|to\s+deliver)|will\s+be\s+(?:re)-?(?:tried|attempted)"
    r"|continue\s+(?:trying|retrying|attempting)|keep\s+trying|(?:has|have)\s+(?:not\s+yet|been\s+(?:delayed|postponed|deferred))"
    r"|not\s+yet\s+been\s+delivered|could\s+not\s+be\s+delivered\s+yet|still\s+(?:undelivered|trying|being\s+retried|in\s+the\s+queue)"
    r"|you\s+do\s+not\s+need\s+to\s+resend|(?:this\s+is\s+)?(?:only\s+a|a)\s+warning\s+(?:message\s+)?only"
    r"|wird\s+weiter(?:hin)?\s+versuch|weitere\s+zustellversuche|sera\s+(?:re)?tent[ée]|se\s+(?:volver[áa]\s+a\s+intentar|seguir[áa]\s+intentando)",
    re.I,
)
_TEMPORARY = re.compile(
    r"\bdelayed\b|\bpostponed\b|\bdeferred\b|temporar(?:y|ily)|transient (?:error|non-fatal|failure|delivery)|no action is required"
    r"|try again later|verzögert|vorübergehend|retardé|temporaire|retras|ritardat|opóźnion",
    re.I | re.S,
)
_PERMANENT = re.compile(
    r"permanent|(?<!non-)fatal error|giv(?:en|ing) up|gave up|has been (?:returned|removed|rejected)|message will (?:be|not be) (?:returned|deleted|retried)|i'm not going to try|user unknown|unknown user|no such user|does not exist|undeliverable|could not be delivered to|mail (?:delivery )?failed",
    re.I,
)
# Below such a line comes the mail that bounced, or a transcript of it.
_ORIGINAL = re.compile(
    r"^[ \t>|*]*(?:[-=_+*#]{2,}[^\n\w]*(?:[^\n]{0,40}\b)?(?:original|returned|unsent|undelivered|bounced|rejected|failed)?[^\n]{0,30}\b(?:message|mail|e-?mail|header|headers|text)\b[^\n]{0,60}(?:follow|below|text|header|body|copy|returned|begin|original|is |:|-{2,}|={2,}|$)"
    r"|(?:[-=_]{2,}\s*)?(?:below (?:this line )?(?:is|are) (?:a|the) (?:copy|header|original|text)|the (?:original|header|text|first|following is|body|returned|rejected|unsent) (?:message|mail|of the|part|lines)?[^\n]{0,60}(?:follow|below|was|is|:)|original (?:message|mail|headers?)(?: as received)?[^\n]{0,40}[:-]|(?:unsent|returned|undelivered) message (?:below|follows)|message (?:headers?|text|body|source|contents?) follows?|received message follows|your (?:original )?(?:message|mail)(?: \w+)? (?:follows|reads|was|is (?:below|appended|attached))|copy of (?:the|your) (?:message|mail|original)|[^\n]{0,30}\boriginal (?:message|mail)[^\n]{0,30} (?:follows|below|attached)|here is (?:a copy|your|the) |(?:the )?(?:first|top) \d+ (?:lines|bytes)|headers? of (?:the|your)|start of (?:returned|original|forwarded)|(?:>\s?)?(?:received: (?:from|by)|return-path: ?<|message-id: ?<|x-[a-z-]+: |mime-version: 1)))",
    re.I | re.M,
)
_ADDRESS = re.compile(r"[\w.+%/=&!#$*'^`{|}~?-]{1,80}@(?:[\w-]{1,63}\.){0,8}[\w-]{1,63}")
_AFTER_INTRO = re.compile(
    r"(?:recipient|address(?:ee)?|user|destination|mailbox|account|people|deliver|reach|e-?mail|send|sent|log|fail|empfänger|adress|destinatair|destinatari|odbiorc|mottagare|modtager|получател|адрес|宛先|收件人)[^\n]{0,80}(?:[:：;]|\.{2,}|\(s\)\.?|-{3,}\|?|fail(?:ed|ures?)\.?|delivered\.?|reasons?\.?|errors?\.?|below\.?|recipients\.?|addresses\.?|problem\.?)\s*$",
    re.I,
)
_SELF = re.compile(r"(?:mailer[-_.]?daemon|postmaster|mail-?daemon|abuse|webmaster|helpdesk|hostmaster|support|no-?reply|administrator|mdaemon)(?:@|$)", re.I)  # fmt: skip
_NOT_RECIPIENT = re.compile(
    r"^\s*(?:>{2,}\s*mail from|<{2,}|mail from|from|sender|reply-to|return-path|message[- ]id|x-[a-z-]+|date|subject|cc|received|references|in-reply-to|by|id|list-\w+|errors-to|delivered-to)\s*:?\s*[:<]|message[- ]?id\b|reporting-mta|contact\b.{0,40}(?:postmaster|administrator|support)|please (?:contact|e-?mail|mail|send|write|visit|forward)|\b(?:mail|messages?|e-?mails?)\s+from\b|for (?:further|more|additional) (?:assist|help|info)|questions|if you (?:have|need|feel|believe)|\bsent by\b|\bfrom:?\s*<|mailto:postmaster",
    re.I,
)
_RETURNED_HEADER = re.compile(r"(?im)^\s*(?:subject|sent|date|betreff|objet|asunto|oggetto|onderwerp)\s*:")
_LABELLED = re.compile(r"^\s*(?:>{2,}\s*)?(?:\W{0,4})(?:rcpt to|(?:intended |failed |final |original |bad )?recipients?(?: address(?:es)?)?|to|failed(?: address)?|address|user|mailbox|account|deliver(?:y)? to|for|user's mailbox is full|unknown user|name|undeliverable to|undelivered)\s*[:=]", re.I)  # fmt: skip
_RETURNED = frozenset(("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global"))
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY_CODE = re.compile(r"(?<![\d.])(?:5[0-7]\d|4[2-7]\d)[ -](?=[A-Za-z<#\d])")


def is_report(root: Part) -> bool:
    """Whether the tree holds a machine-readable delivery report."""
    return any(
        p.content_type in ("message/delivery-status", "message/global-delivery-status") for p in root.walk()
    ) or (
        root.content_type == "multipart/report"
        and root.parameters.get("report-type", "delivery-status").lower() == "delivery-status"
    )


def read_bounce(root: Part, headers: Headers, text: str, subject: str) -> tuple[Bounce, str] | None:
    """The report and a plain reason, when the message is one; None for every other mail.

    `text` is the message's own text. A report that says "delivered" or "relayed" is no bounce.
    """
    recipients, successes = _from_status(root)
    if not recipients and not successes and from_daemon(headers):
        recipients = _from_enclosed(root)
    if recipients:
        return _bounce(root, text, recipients), "a delivery report names the recipients that were not reached"
    if successes:
        return None
    named = [
        a
        for value in headers.raw_all("x-failed-recipients")
        for a in _addresses(as_text(value).replace(",", " "))
    ]
    if not named and not _looks_like_report(root, headers, subject, text):
        return None
    own = _own_addresses(headers)
    body = _report_text(root, text)
    named = (
        named
        or _from_text(body, own)
        or _from_text(_other_text(root, body), own)
        or _bare_names(body, headers)
    )
    temporary = _is_temporary(subject, body)
    status = _STATUS.search(body)
    permanent = not temporary
    code = status.group(1) if status else None
    found = [BouncedRecipient(a, permanent, code) for a in dict.fromkeys(named)]
    if not found and not is_report(root) and not _clear_failure(root, headers, subject, body):
        return None
    reason = "the mail system says that a mail was not delivered"
    if not found:
        reason += ", without naming the recipient"
    elif temporary:
        reason = "the mail system says that a mail is delayed"
    return _bounce(root, text, found), reason


def _bounce(root: Part, text: str, recipients: list[BouncedRecipient]) -> Bounce:
    original, references = _original_ids(root, text)
    return Bounce(tuple(recipients[:1_000]), original, references)


def _from_status(root: Part) -> tuple[list[BouncedRecipient], int]:
    """Recipients of the RFC 3464 parts that failed or are delayed, and how many were served."""
    found: dict[str, BouncedRecipient] = {}
    successes = 0
    for part in root.walk():
        if part.content_type not in ("message/delivery-status", "message/global-delivery-status"):
            continue
        for fields in _status_blocks(part):
            action = fields.get("action", "").lower().strip()
            address = _recipient(fields)
            if not address:
                continue
            if action.startswith(("deliver", "relay", "expand")):
                successes += 1
                continue
            status = _STATUS.search(fields.get("status", "")) or _STATUS.search(
                fields.get("diagnostic-code", "")
            )
            code = status.group(1) if status else None
            if not action and not code:
                continue
            temporary = action.startswith("delay") or (
                not action.startswith("fail") and (code or "").startswith("4")
            )
            found.setdefault(address, BouncedRecipient(address, not temporary, code))
    return list(found.values()), successes


def _from_enclosed(root: Part) -> list[BouncedRecipient]:
    """Gateways pass a report on as an attached mail: the one inside is the report."""
    for part in root.walk():
        if part.content_type == "message/rfc822" and not part.children:
            try:
                inner = read_tree(part.raw, Meter(DEFAULT_BOUNDS), [], part.start, part.end)
            except OverBound:
                continue
            if inner.content_type == "multipart/report":
                return _from_status(inner)[0]
    return []


def _status_blocks(part: Part) -> list[dict[str, str]]:
    try:
        data = part.decode(Meter(DEFAULT_BOUNDS), [])
    except OverBound:
        return []
    blocks: list[dict[str, str]] = []
    for block in re.split(rb"\r?\n[ \t]*\r?\n", data[:1_000_000])[:2_000]:
        try:
            headers, _ = read_block(block.lstrip() + b"\n", 0, len(block) + 1, DEFAULT_BOUNDS)
        except OverBound:
            continue
        fields: dict[str, str] = {}
        for name, value in headers.fields:
            fields.setdefault(name, decode_text(as_text(value)))
        if fields:
            blocks.append(fields)
    return blocks


def _recipient(fields: dict[str, str]) -> str | None:
    """The address that was written to (Original-Recipient) rather than the one it was forwarded to."""
    for name in ("original-recipient", "final-recipient", "x-actual-recipient"):
        value = fields.get(name, "")
        kind, semicolon, address = value.partition(";")
        if semicolon and kind.strip().lower() not in (
            "rfc822",
            "utf-8",
            "smtp",
            "rfc-822",
            "internet",
            "unknown",
        ):
            continue
        found = _addresses(address if semicolon else value)
        if found:
            return found[0]
    return None


def _looks_like_report(root: Part, headers: Headers, subject: str, text: str) -> bool:
    if is_report(root):
        return True
    titled = bool(_SUBJECT.search(subject[:300]))
    if from_daemon(headers):
        return titled or _says_failed(text)
    if null_return_path(headers):
        return titled or (not re.match(r"(?i)\s*(?:re|aw|auto|automat)", subject) and _says_failed(text))
    # No known sender: only a subject and a text that both say so, and no sign that a person answers.
    if not titled or "in-reply-to" in headers or "references" in headers:
        return False
    return _says_failed(text)


def _says_failed(text: str) -> bool:
    head = text[:3_000]
    return bool(_FAILED.search(head) or _FAILED_ELSEWHERE.search(head))


def _clear_failure(root: Part, headers: Headers, subject: str, body: str) -> bool:
    returned = any(p.content_type in _RETURNED for p in root.walk())
    says = bool(_SUBJECT.search(subject)) and bool(_FAILED.search(body[:3_000]))
    return says and (returned or from_daemon(headers) or null_return_path(headers))


def from_daemon(headers: Headers) -> bool:
    """Whether From (or Sender) is a mail system."""
    for name in ("from", "sender"):
        value = headers.text(name)
        if not value:
            continue
        if _DAEMON_ADDRESS.search(value):
            return True
        display = value.partition("<")[0].strip(' "')
        if display and "@" not in display and _DAEMON_NAME.search(display):
            return True
        if name == "from":
            break
    return False


def null_return_path(headers: Headers) -> bool:
    value = headers.raw("return-path")
    return value is not None and value.strip() in (b"<>", b"< >", b"<MAILER-DAEMON>", b"<mailer-daemon>")


def _own_addresses(headers: Headers) -> set[str]:
    """Whom the report went to and who sent it: none of them is the recipient that failed."""
    own: set[str] = set()
    for name in ("to", "from", "sender", "return-path", "delivered-to", "envelope-to", "errors-to"):
        for value in headers.raw_all(name):
            own.update(a.lower() for a in _addresses(as_text(value)))
    return own


def _addresses(text: str) -> list[str]:
    found = []
    for match in _ADDRESS.findall(text):
        address = normalise_address(re.sub(r"(?i)^(?:smtp|rfc-?822|mailto)[=:]", "", match.strip(".'`*=!&")))
        if address:
            found.append(address)
    return found


def _report_text(root: Part, text: str) -> str:
    """The report's own words: the text up to where the original begins."""
    return _before_original(text)


def _before_original(text: str) -> str:
    text = text[:200_000]
    first = _ADDRESS.search(text)
    at = text.find("\n", first.end()) if first else -1
    while at >= 0:
        stop = text.find("\n", at + 1)
        if _is_original_mark(text[at + 1 : stop if stop >= 0 else len(text)]):
            return text[:at]
        at = stop
    return text


def _is_original_mark(line: str) -> bool:
    """Whether the mail that bounced begins below this line."""
    bare = line.strip(" \t>|*")
    if not bare or len(bare) > 200:
        return False
    if bare[:2] in ("--", "==", "__", "##", "++"):
        core = bare.strip("-=_+*# |:\t").lower()
        about = "message" in core or "mail" in core or "header" in core
        return about and "to the following" not in core and any(word in core for word in _COPIED)
    return _ORIGINAL_PHRASE.match(bare) is not None


def _other_text(root: Part, body: str) -> str:
    """Texts that are attachments, where the words of the report themselves name nobody."""
    out: list[str] = []
    for part in root.walk():
        if part.children or part.maintype != "text":
            continue
        try:
            out.append(
                decode(part.decode(Meter(DEFAULT_BOUNDS), []), part.parameters.get("charset"))[0][:20_000]
            )
        except OverBound:
            continue
        if len(out) > 3:
            break
    joined = "\n".join(out)
    return "" if joined.strip() == body.strip() else _before_original(joined)


def _from_text(text: str, own: set[str]) -> list[str]:
    """Addresses in the report's words, best evidence first: below an introduction, on a line that tells of the
    failure or is labelled, else the first that is nobody's own."""
    lines = text[:60_000].split("\n")[:1_500]
    introduced: list[str] = []
    telling: list[str] = []
    other: list[str] = []
    since_intro = 99
    for index, line in enumerate(lines):
        if _AFTER_INTRO.search(line):
            since_intro = 0
        elif "transcript" in line.lower() or line.lstrip()[:2] in ("--", "=="):
            since_intro = 99
        elif line.strip():
            since_intro += 1
        if "@" not in line:
            continue
        if _NOT_RECIPIENT.search(line) and not _LABELLED.match(line):
            continue
        found = [a for a in _addresses(line) if a.lower() not in own and not _SELF.match(a)]
        if not found:
            continue
        leading = re.match(r"[\s>*|\-\"'(]*<?[^\s<]*@", line) is not None
        near = " ".join(lines[index : index + 3])
        if (
            since_intro > 8
            and re.match(r"(?i)\s*to:", line)
            and _RETURNED_HEADER.search("\n".join(lines[index : index + 4]))
        ):
            continue  # the head of the returned mail, repeated: whom it went to is not whom it did not reach
        if (
            since_intro <= 8
            and leading
            or (since_intro == 1 and "=" in line)
            or (since_intro <= 3 and len(line.strip()) < len(found[0]) + 30)
        ):
            introduced.append(found[0])
            since_intro = min(since_intro, 1)
        elif _LABELLED.match(line) or _FAILED.search(line) or _REPLY_CODE.search(line):
            telling.extend(found[:1])
        elif leading and (_FAILED.search(near) or _REPLY_CODE.search(near)):
            telling.append(found[0])
        else:
            other.extend(found)
    for tier in (introduced, telling):
        if tier:
            return list(dict.fromkeys(tier))
    return list(dict.fromkeys(other))[:1]


def _bare_names(text: str, headers: Headers) -> list[str]:
    """Servers that name their own users without a domain: it is that of the server."""
    domain = next((a.rpartition("@")[2] for a in _addresses(headers.text("from"))), "")
    if not domain or not from_daemon(headers):
        return []
    lines = [line for line in text[:20_000].split("\n") if line.strip()]
    for index, line in enumerate(lines[:60]):
        if _AFTER_INTRO.search(line):
            name = lines[index + 1].strip() if index + 1 < len(lines) else ""
            if re.fullmatch(r"[\w.+-]{2,64}", name) and not name.isdigit():
                return [f"{name}@{domain}"]
    return []


def _is_temporary(subject: str, body: str) -> bool:
    head = body[:4_000]
    if _STILL_TRYING.search(head):
        return True
    final = _PERMANENT.search(head) or re.search(r"(?i)fail|undeliver|return|unknown", subject)
    return not final and bool(_TEMPORARY.search(head) or re.search(r"(?i)\bwarning\b|\bdelay", subject))


def _original_ids(root: Part, text: str) -> tuple[str | None, tuple[str, ...]]:
    """Message-ID and References of the mail that bounced, out of its returned headers."""
    for part in root.walk():
        if part.content_type in _RETURNED:
            try:
                headers, _ = read_block(part.raw, part.start, part.end, DEFAULT_BOUNDS)
            except OverBound:
                continue
            ids = message_ids(headers.plain("message-id"))
            if ids:
                return ids[0], message_ids(headers.plain("references"))
    match = re.search(r"(?im)^[ \t>]*message-id:\s*<([^<>\s]{3,300})>", text)
    return (match.group(1) if match else None), ()

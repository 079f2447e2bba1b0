"""How mail systems word that a mail was not delivered: the patterns, without the decisions (see bounces)."""

# ruff: noqa: E501 - wide scripts count double

from __future__ import annotations

import re

DAEMON_ADDRESS = re.compile(
    r"(?:^|[\s<\"(,;])(?:mailer[-_.]?daemon|mail[-_.]?daemon|postmaster|mdaemon|mmdf|mail(?:er)?-?system|ndr"
    r"|bounces?|bounce-handler"
    r"|emaildelivery\w*|mail-?delivery(?:-?(?:sub)?system)?|microsoftexchange[0-9a-f]{8,40}|dsn"
    r"|delivery-?failure)(?:[\\+-][^@\s]*)?(?:@|[>\s]*$)",
    re.I,
)
DAEMON_NAME = re.compile(
    r"mail(?:er)?[ -]?deliver(?:y|er)|mailer[- ]?daemon|^system administrator$|^systemadministrator$"
    r"|^microsoft outlook$|postmaster"
    r"|mail administrator|internet mail (?:delivery|agent)|(?:mail|message) delivery (?:sub)?system"
    r"|^mail ?system$",
    re.I,
)
SUBJECT = re.compile(
    r"undeliver(?:ed|able)|un-?delivered|deliver(?:y|ies)?(?: (?:status|attempt))? (?:has )?(?:fail|problem"
    r"|error|notification|report|delay|has|unsuccessful|incomplete)|deliver(?:y)? (?:status )?notification"
    r"|mail (?:delivery |system )?(?:fail|error|delayed|returned|not delivered|could not)"
    r"|message (?:delivery |not |could not |you sent|status - undeliverable|undeliverable|delayed)"
    r"|failure notice|failure delivery|fail(?:ed|ure)?:? ?(?:mail|delivery|notice|to deliver|permanent)"
    r"|delivery ?(?:failure|failed|error)|returned (?:mail|message|e-?mail|to sender)|returning (?:message"
    r"|mail|to) ?(?:to )?(?:sender)?|mail (?:failed|failure)|return(?:ed)? to sender"
    r"|(?:non|not)[- ]?deliver(?:y|ed|able)|could not (?:be deliver|send|deliver)|cannot (?:be deliver|send"
    r"|deliver)|can't (?:be deliver|deliver)|no (?:such|valid) (?:user|recipient)|user unknown|unknown user"
    r"|address (?:unknown|error|not found|rejected)|bounce(?:d)? (?:mail|message|e-?mail)|processing error"
    r"|bad address|rejected (?:mail|posting)|(?:mailbox|quota) (?:is )?(?:full|exceeded)|permanent delivery"
    r"|nondeliverable|failed mail|mail system error|"
    r"unzustellbar|nicht zugestellt|zustellung.{0,30}(?:fehl|nicht)|fehler bei der (?:zustellung|nachrichten)"
    r"|rückläufer|non remis|échec (?:de la )?(?:remise|livraison|distribution)|non distribu"
    r"|no (?:se )?(?:ha podido|pudo|entregad|entregable)|devuelto|fallo (?:en la )?entrega"
    r"|error en la entrega|não (?:foi )?(?:entreg|pôde)|falha (?:na|de) entrega|devolvid|mancato recapito"
    r"|non recapitabil|consegna (?:non riuscita|fallita)|impossibile recapitare|onbestelbaar|niet (?:bezorgd"
    r"|afgeleverd)|kan niet worden bezorgd|niedostarczon|zwrot|nie (?:można|udało się) dostarczyć|"
    r"kan inte leverera|oleverer|misslyckad leverans|ikke leveres|kunne ikke lever|uleverbar|kan ikke lever"
    r"|toimitus epäonnistui|ei voitu toimittaa|nedoručiteln|nedoručen|teslim edilemedi|iletilemedi"
    r"|не доставлен|недоставлен|возвращен|ошибка доставки|配信できません|配信不能|配送エラー|送信エラー|退信|退回|无法送达|投递失败|傳送失敗|無法傳遞",
    re.I,
)
FAILED = re.compile(
    r"(?:could|can|did|was|is|has|were|been|be|being|are|have)\s?(?:not"
    r"|n[o']t)\s+(?:yet\s+)?(?:be(?:en)?\s+)?(?:able\s+to\s+(?:be\s+)?)?(?:deliver|reach|sent|receiv|find"
    r"|accept|process|recogni|exist)|cannot\s+be\s+(?:deliver|reach)|unable\s+to\s+(?:deliver|be\s+deliver"
    r"|relay|find|locate|send|reach)|(?:delivery|mail|message).{0,40}(?:failed|failure|unsuccessful"
    r"|impossible)|undeliver|failed\s+(?:permanently|address|recipient)|following\s+(?:recipient|address|user"
    r"|e-?mail|destination)\S*.{0,30}(?:fail|could|was|were|did|reject)"
    r"|addresses?\s+(?:failed|had\s+(?:permanent|delivery|transient|problem))"
    r"|permanent\s+(?:fatal\s+)?(?:delivery\s+)?(?:error|fail)|user\s+unknown|unknown\s+user"
    r"|no\s+such\s+(?:user|address|mailbox|recipient|person|account)|does(?:\s+not|n't)\s+(?:exist"
    r"|have\s+an?)|did\s+not\s+(?:receive|reach|exactly\s+match)|mailbox\s+(?:is\s+)?(?:full|unavailable"
    r"|not\s+found|disabled|exceeded|inactive)|over\s+quota|quota\s+exceeded|not\s+(?:a\s+)?(?:valid|known"
    r"|listed|found)|returned\s+(?:to\s+(?:you|sender)|unopened|because)|has\s+been\s+(?:returned|rejected"
    r"|delayed|postponed|disabled|discontinued|suspended)|5\d\d[ -][#]?5?\.?\d|gave\s+up|giving\s+up"
    r"|undelivered|non-?delivery|rejected\s+(?:by|your|the)|bounced|message\s+(?:expired|delayed)"
    r"|no\s+valid\s+recipients|still\s+(?:undelivered|trying)|unknown\s+(?:address|recipient|local|host)"
    r"|recipients?\s+(?:unknown|rejected|failed)|inactive\s+account|no\s+longer\s+(?:valid|active|in\s+use"
    r"|available|accepts|a\s+valid)|intended\s+recipient",
    re.I | re.S,
)
FAILED_ELSEWHERE = re.compile(
    r"nicht (?:zugestellt|ausgeliefert|zustellbar|erreicht|gefunden)|unzustellbar|n['’]a pas (?:pu|été)"
    r"|impossible de (?:remettre|livrer)|non (?:remis|distribué)|no (?:se )?(?:pudo|ha podido|existe"
    r"|fue posible)|não (?:foi possível|pôde|existe)|non (?:è stato|può|esiste|recapit)|niet (?:worden"
    r"|afgeleverd|bezorgd|bestaat)|nie (?:można|udało|istnieje|został)|kunde inte|kan inte|ikke (?:leveres"
    r"|levert|findes)|ei voitu|nelze|nebyl[ao]? doručen|iletilemedi|не (?:доставлен|удалось|существует)|配信でき"
    r"|届けられません|存在しません|无法|不存在|無法",
    re.I,
)
# The server says that it goes on: whatever else it says, the mail may still arrive.
STILL_TRYING = re.compile(
    r"(?:attempts?|deliver(?:y|ies)|retr(?:y|ies))\s+will\s+continue|will\s+(?:keep"
    r"|continue)\s+(?:to\s+)?(?:re)?-?(?:try|attempt|be)"
    r"|will\s+(?:continue\s+to\s+)?(?:try|attempt)(?:ed)?\s+(?:again|to\s+deliver)"
    r"|will\s+be\s+(?:re)-?(?:tried|attempted)"
    r"|continue\s+(?:trying|retrying|attempting)|keep\s+trying|(?:has|have)\s+(?:not\s+yet|been\s+(?:delayed"
    r"|postponed|deferred))"
    r"|not\s+yet\s+been\s+delivered|could\s+not\s+be\s+delivered\s+yet|still\s+(?:undelivered|trying"
    r"|being\s+retried|in\s+the\s+queue)"
    r"|you\s+do\s+not\s+need\s+to\s+resend|(?:this\s+is\s+)?(?:only\s+a|a)\s+warning\s+(?:message\s+)?only"
    r"|wird\s+weiter(?:hin)?\s+versuch|weitere\s+zustellversuche|sera\s+(?:re)?tent[ée]"
    r"|se\s+(?:volver[áa]\s+a\s+intentar|seguir[áa]\s+intentando)",
    re.I,
)
TEMPORARY = re.compile(
    r"\bdelayed\b|\bpostponed\b|\bdeferred\b|temporar(?:y|ily)|transient (?:error|non-fatal|failure|delivery)"
    r"|no action is required"
    r"|try again later|verzögert|vorübergehend|retardé|temporaire|retras|ritardat|opóźnion",
    re.I | re.S,
)
PERMANENT = re.compile(
    r"permanent|(?<!non-)fatal error|giv(?:en|ing) up|gave up|has been (?:returned|removed|rejected)"
    r"|message will (?:be|not be) (?:returned|deleted|retried)|i'm not going to try|user unknown|unknown user"
    r"|no such user|does not exist|undeliverable|could not be delivered to|mail (?:delivery )?failed",
    re.I,
)
# Below such a line comes the mail that bounced, or a transcript of it.
ORIGINAL_PHRASE = re.compile(
    r"below (?:this line )?(?:is|are) (?:a|the) (?:copy|header|original|text)"
    r"|(?:[^\n]{0,30}\b)?original (?:message|mail)[^\n]{0,30} (?:follows|below|attached)"
    r"|the (?:original|header|text|first|following is|body|returned|rejected|unsent) (?:message|mail|of the"
    r"|part|lines)?.{0,60}(?:follow|below|was|is|:)|original (?:message|mail"
    r"|headers?)(?: as received)?.{0,40}[:-]"
    r"|(?:unsent|returned|undelivered) message (?:below|follows)|message (?:headers?|text|body|source"
    r"|contents?) follows?|received message follows|your (?:original )?(?:message|mail)(?: \w+)? (?:follows"
    r"|reads|was|is (?:below|appended|attached))"
    r"|copy of (?:the|your) (?:message|mail|original)|here is (?:a copy|your|the) |(?:the )?(?:first"
    r"|top) \d+ (?:lines|bytes)|headers? of (?:the|your)|start of (?:returned|original|forwarded)"
    r"|received: (?:from|by)|return-path: ?<|message-id: ?<|x-[a-z-]+: |mime-version: 1",
    re.I,
)
COPIED = (
    "original",
    "returned",
    "unsent",
    "copy",
    "header",
    "body",
    "text follow",
    "message follow",
    "mail follow",
    "below",
)
ADDRESS = re.compile(r"[\w.+%/=&!#$*'^`{|}~?-]{1,80}@(?:[\w-]{1,63}\.){0,8}[\w-]{1,63}")
AFTER_INTRO = re.compile(
    r"(?:recipient|address(?:ee)?|user|destination|mailbox|account|people|deliver|reach|e-?mail|send|sent|log"
    r"|fail|empfänger|adress|destinatair|destinatari|odbiorc|mottagare|modtager|получател|адрес|宛先"
    r"|收件人)[^\n]{0,80}(?:[:：;]|\.{2,}|\(s\)\.?|-{3,}\|?|fail(?:ed|ures?)\.?|delivered\.?|reasons?\.?"
    r"|errors?\.?|below\.?|recipients\.?|addresses\.?|problem\.?)\s*$",
    re.I,
)
SELF = re.compile(
    r"(?:mailer[-_.]?daemon|postmaster|mail-?daemon|abuse|webmaster|helpdesk|hostmaster|support|no-?reply"
    r"|administrator|mdaemon)(?:@|$)",
    re.I,
)
NOT_RECIPIENT = re.compile(
    r"^\s*(?:>{2,}\s*mail from|<{2,}|mail from|from|sender|reply-to|return-path|message[- ]id|x-[a-z-]+|date"
    r"|subject|cc|received|references|in-reply-to|by|id|list-\w+|errors-to|delivered-to)\s*:?\s*[:<]"
    r"|message[- ]?id\b|reporting-mta|contact\b.{0,40}(?:postmaster|administrator|support)|please (?:contact"
    r"|e-?mail|mail|send|write|visit|forward)|\b(?:mail|messages?|e-?mails?)\s+from\b|for (?:further|more"
    r"|additional) (?:assist|help|info)|questions|if you (?:have|need|feel|believe)|\bsent by\b|\bfrom:?\s*<"
    r"|mailto:postmaster",
    re.I,
)
RETURNED_HEADER = re.compile(r"(?im)^\s*(?:subject|sent|date|betreff|objet|asunto|oggetto|onderwerp)\s*:")
LABELLED = re.compile(
    r"^\s*(?:>{2,}\s*)?(?:\W{0,4})(?:rcpt to|(?:intended |failed |final |original "
    r"|bad )?recipients?(?: address(?:es)?)?|to|failed(?: address)?|address|user|mailbox|account"
    r"|deliver(?:y)? to|for|user's mailbox is full|unknown user|name|undeliverable to|undelivered)\s*[:=]",
    re.I,
)
RETURNED = frozenset(("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global"))
STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
REPLY_CODE = re.compile(r"(?<![\d.])(?:5[0-7]\d|4[2-7]\d)[ -](?=[A-Za-z<#\d])")

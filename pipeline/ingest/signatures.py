"""Signatures at the end of what somebody wrote: delimiters, sign-offs, contact blocks, mobile lines, disclaimers
and list footers, in many languages; and the warning banners that mail gateways put above."""

from __future__ import annotations

import re

from pipeline.ingest.attribution import is_rule

_DELIMITER = re.compile(r"^\s{0,2}(?:--|—|–|–-|—-|―)[ \xa0]?\s*$")

_FORMAL = (
    r"(?:with )?(?:(?:my|our) )?(?:very )?(?:best|kind|kindest|warm|warmest|friendly|many|good|highest) (?:regards?|wishes|greetings)"
    r"(?: to (?:all|you))?|(?:thanks|thank you)[ ,]*(?:and|&|with)[ ]*(?:(?:kind|best|warm) )?(?:regards?)|regards|kr|br|rgds|brgds|b\.?rgds|bests?"
    r"|yours?(?: (?:truly|sincerely|faithfully|respectfully))?|(?:yours )?(?:sincerely|faithfully|truly|respectfully|cordially)(?: yours?)?"
    r"|(?:all the|my) best|all the best|cheers|warmly|take care|respectfully(?: submitted)?|rgrds|with regards|have a (?:nice|good|great|lovely|wonderful) (?:day|one|weekend|week|evening)"
    r"|(?:mit )?(?:(?:den )?(?:freundlich|herzlich|best|vielen?|lieb|schön|sonnig|kollegial)\w*|vorzüglicher) (?:grü(?:ß|ss)\w*|gruessen?|gruß|gruss|wünsch\w*|hochachtung|empfehlungen)(?: (?:aus|von|nach)(?: \w+){1,2})?"
    r"|mit (?:freundlichen|besten|herzlichen) grü(?:ß|ss)en|mfg|m\.?f\.?g\.?|vg|lg|bg|glg|viele grü(?:ß|ss)e|grü(?:ß|ss)e|gru(?:ß|ss)|beste grü(?:ß|ss)e|hochachtungsvoll|schöne grü(?:ß|ss)e"
    r"|(?:bien )?(?:cordialement|amicalement|sincèrement|respectueusement)(?: (?:vôtre|à vous))?|(?:bien|très) (?:cordialement|à vous|amicalement)|salutations(?: distinguées)?|sincères salutations|meilleures salutations"
    r"|(?:avec )?mes (?:meilleures|sincères|cordiales) salutations|bien à (?:vous|toi)|cdlt|cdt|(?:veuillez|je vous prie).{0,50}salutations.{0,20}"
    r"|(?:(?:un|muchos|reciba un|reciban un) )?(?:saludos?|cordial(?:es)? saludos?)(?: cordial(?:es)?| a todos| afectuosos)?|(?:un )?cordial saludo|atentamente|atte|muy atentamente|un abrazo|quedo atent[oa].{0,20}"
    r"|atenciosamente|att|cumprimentos|(?:com os )?(?:melhores|meus|os melhores) cumprimentos|cordialmente|abraços?|com (?:os melhores )?cumprimentos|grat[oa]|respeitosamente"
    r"|(?:(?:i (?:miei )?più )?(?:cordiali|distinti|migliori)) saluti|saluti|un saluto|un cordiale saluto|cordialità|cordialmente|con cordialità|in fede"
    r"|(?:met )?(?:vriendelijke|hartelijke|beste|warme) (?:groet|groeten|groetjes)|(?:hoogachtend|groetjes?|groeten?|gr|mvg|m\.?v\.?g\.?)"
    r"|(?:z )?(?:poważaniem|powazaniem|wyrazami szacunku|wyrazami uszanowania)|(?:serdeczne )?pozdrowienia|(?:serdecznie )?pozdrawiam(?: serdecznie)?|łączę pozdrowienia|pzdr|pozdr"
    r"|(?:med )?(?:vänlig|vänliga|bästa|hjärtliga|varma|trevlig|många) (?:hälsning(?:ar)?)|hälsningar|hälsn|mvh|m\.?v\.?h\.?|vh|bästa hälsningar"
    r"|(?:med )?(?:venlig|venlige|bedste|mange|kærlig|hjertelig|de bedste) hilsen(?:er)?|(?:med )?(?:vennlig|vennlige|beste|hjertelig|hyggelig) hilsen|hilsen|hils|dbh|kh|med hilsen|mvh"
    r"|(?:ystävällisin|parhain|lämpimin|terveisin|kunnioittavasti|ystävällisesti)(?: terveisin)?|terveisin|terv|t\.|yst\.? terv\.?|yt|terkuin"
    r"|s (?:pozdravem|přáním hezkého dne|úctou|pozdravom)|(?:srdečně |s přátelským )?(?:zdraví(?:m)?|pozdravem)|hezký den|děkuji a přeji hezký den|s přáním pěkného dne"
    r"|(?:saygılarım(?:la|ızla)|saygılar(?:ımla)?|iyi (?:günler|çalışmalar|akşamlar)|sevgiler(?:imle)?|selamlar|hürmetler(?:imle)?)"
    r"|(?:с )?(?:уважением|наилучшими пожеланиями|найкращими побажаннями|повагою|наилучшими)|всего (?:доброго|хорошего|наилучшего)|з повагою|искренне ваш[аи]?|с ув"
    r"|(?:よろしくお願い(?:いた|致)?し?ます|宜しくお願い(?:いた|致)?します|以上、?よろしくお願い(?:いた|致)?します|敬具|草々)|此致|敬礼|顺祝商祺|祝好|谢谢|順頌商祺|敬祝|此致敬禮|祝您?(?:工作)?(?:顺利|愉快)"
    r"|(?:üdvözlettel|tisztelettel|köszönettel|üdv)|(?:cu (?:stimă|respect)|toate cele bune|o zi bună)|(?:με εκτίμηση|φιλικά)|srdačan pozdrav|lep pozdrav|lp|pozdrav"
    r"|감사합니다|(?:salut(?:acions)?(?: cordials)?)|atentament|lugupidamisega|pagarbiai|ar cieņu|с поздрави|хубав ден|בברכה|مع تحياتي|trân trọng"
)  # fmt: skip
_THANKS = (
    r"(?:many |with |lots of )?(?:thanks|thank you|thx|tks|ty)(?: (?:again|so much|very much|a lot|in advance|a million|and (?:kind |best )?regards?|for your (?:help|time|support|assistance)|you))*"
    r"|(?:vielen |besten |herzlichen |lieben |schönen |tausend )?dank(?:e)?(?: (?:im voraus|schon mal|vorab|und (?:viele |beste |liebe )?gr\w+|schön|sehr|dir|ihnen))*|merci(?: (?:d'avance|beaucoup|bien|par avance))*"
    r"|(?:muchas |mil )?gracias(?: (?:de antemano|por todo|y un saludo))*|(?:muito )?obrigad[oa](?: desde já)?|desde já,? (?:agradeço|obrigad[oa])|grazie(?: (?:mille|in anticipo|e (?:cordiali )?saluti))*"
    r"|(?:alvast |hartelijk )?(?:bedankt|dank(?: je| u)?(?: wel)?)(?: (?:alvast|voor de moeite))?|dziękuję(?: (?:bardzo|z góry))?|z góry dziękuję|dzięki|tack(?: (?:på förhand|så mycket))?|(?:på forhånd )?(?:mange )?takk?(?: (?:på forhånd|skal du ha))?"
    r"|kiitos(?: (?:etukäteen|paljon))?|děkuj[iu](?: (?:předem|mockrát))?|předem děkuji|díky|teşekkürler|teşekkür ederim|şimdiden teşekkürler|(?:заранее )?(?:спасибо|благодарю)|ありがとうございます|köszönöm|mulțumesc|hvala"
)  # fmt: skip
_TAIL = r"[\s,.!:;。、！，~/\-–—*_☺️🙂😊🙏]*(?:[,;]?\s*(?:your\s+)?)?"
_SIGN_OFF = re.compile(rf"^[\s*_]*(?:{_FORMAL}){_TAIL}$", re.I)
_SIGN_OFF_NAMED = re.compile(
    rf"^[\s*_]*(?:{_FORMAL})\s*[,.!/ –-]\s*(?P<name>[^\W\d_][\w.'’-]*(?:\s+[^\W\d_][\w.'’-]*){{0,3}})[\s.*_]*$",
    re.I,
)
_THANKS_LINE = re.compile(
    rf"^[\s*_]*(?:{_THANKS})(?:[\s,]+(?:and |& |und |et |e |y |og |och |en |a )?(?:{_FORMAL}))?{_TAIL}$", re.I
)

_DEVICE = (
    r"i[ -]?phone|i[ -]?pad|i[ -]?pod|mac(?:book)?|apple ?watch|android|samsung|galaxy|huawei|xiaomi|honor|oneplus|oppo|vivo|pixel|nokia|lumia|sony|xperia|htc|lg|motorola|moto|"
    r"black ?berry|windows|outlook|hotmail|yahoo|gmail|inbox|aol|gmx|web\.de|proton ?mail|tutanota|tuta|mail\.ru|myMail|fastmail|spark|sparrow|airmail|bluemail|k-9|k9|thunderbird|mailbird|"
    r"mobile|mobil\w*|handy|smartphone|smart ?phone|phone|tablet|mein\w*|treo|palm|blackberry|mozilla|mail for|mail app|mail\b|mobiel\w*|telefon\w*|téléphone|móvil|cellulare|puhelime\w*|telefonu"
)  # fmt: skip
_SENT_FROM = re.compile(
    r"^[\s*_<(\[]*(?:"
    rf"sent (?:wirelessly )?(?:from|via|with|using|by|on) (?:(?:my|an?|the)\s+[\w®™.'+-]+(?:\s+[\w®™.'+-]+){{0,5}}|(?:the\s+)?(?:{_DEVICE})\b[^,;?!]{{0,50}})"
    rf"|sent (?:securely )?(?:from|via|with) [^,;?!]{{0,30}}(?:{_DEVICE})[^,;?!]{{0,50}}"
    r"|sent from a [^,;?!.]{3,50}"
    rf"|(?:get|download) (?:outlook|yahoo mail|boomerang|bluemail|the app) for [^,;?!]{{2,60}}"
    rf"|(?:von meinem|von meiner|mit meinem|gesendet (?:von|mit|aus|über|via)|diese nachricht wurde (?:von|mit)|vom? (?:mobiltelefon|handy|iphone|ipad|smartphone)) [^,;?!]{{0,80}}"
    rf"|(?:envoyé|envoye|provenance) (?:de|depuis|à partir|avec|via|par|:|d['’])[^,;?!]{{0,80}}|(?:obtenez|télécharger) outlook pour [^,;?!]{{2,50}}|courriel envoyé de mon [^,;?!]{{2,40}}"
    rf"|(?:enviad[oa]|mandado) (?:desde|con|por|mediante|a partir) [^,;?!]{{0,80}}|(?:enviad[oa]|mandado) (?:do|da|de|pelo|via|através) [^,;?!]{{0,80}}|obtener outlook para [^,;?!]{{2,50}}|obter o outlook para [^,;?!]{{2,50}}"
    rf"|(?:inviat[oa]|spedit[oa]|mandato) (?:da|dal|dall['’]|con|tramite|via) ?[^,;?!]{{0,80}}|scarica outlook per [^,;?!]{{2,50}}|ottieni outlook per [^,;?!]{{2,50}}"
    rf"|(?:verzonden|verstuurd|gestuurd) (?:vanaf|vanuit|vanop|met|via|van) [^,;?!]{{0,80}}|(?:download|outlook voor) [^,;?!]{{0,40}}(?:ios|android)[^,;?!]{{0,40}}|outlook voor (?:ios|android)[^,;?!]{{0,40}} downloaden"
    rf"|(?:wysłan[eoay]|wysyłane|wiadomość wysłana) (?:z|przez|ze|za pomocą|przy użyciu)[^,;?!]{{0,80}}|pobierz (?:aplikację )?outlook [^,;?!]{{2,60}}"
    rf"|(?:skickat|skickades|skickade) (?:från|via|med) [^,;?!]{{0,80}}|hämta outlook för [^,;?!]{{2,50}}|(?:sendt|sent) (?:fra|via|med|med) [^,;?!]{{0,80}}|(?:hent|få) outlook (?:til|for) [^,;?!]{{2,50}}|(?:min|fra min) (?:iphone|ipad|mobil)"
    rf"|lähetetty [^,;?!]{{2,80}}|hanki outlook [^,;?!]{{2,60}}|(?:odesláno|odoslané|posláno|odesláno) (?:z|ze|pomocou|pomocí|přes)[^,;?!]{{0,80}}|získat outlook pro [^,;?!]{{2,50}}"
    rf"|[^,;?!]{{2,50}}(?:[’']?(?:den|dan|ten|tan|mdan|ımdan|imden|umdan)) gönderildi|[^,;?!]{{0,40}}gönderildi|отправлено (?:с|из|от|через|при помощи)[^,;?!]{{0,80}}|(?:надіслано|послано) (?:з|с|із)[^,;?!]{{0,80}}"
    rf"|(?:发自|發自|从我的|從我的|來自|来自|傳送自|寄自)[^,;?!。]{{1,40}}|[^,;?!。]{{0,20}}(?:发送|發送)的?$|{{0}}(?:iPhone|iPad|スマートフォン|携帯|Android)[^,;?!。]{{0,10}}から送信|[^,;?!。]{{1,40}}から送信(?:されました)?|(?:나의|내) (?:iphone|ipad)에서 보냄|(?:iphone|ipad)-?(?:emről|omról) küldve|[^,;?!]{{2,40}}küldve|trimis de pe [^,;?!]{{2,60}}|στάλθηκε από [^,;?!]{{2,60}}|enviat des de[^,;?!]{{2,50}}|poslano (?:z|sa|s) [^,;?!]{{2,50}}"
    r")[\s.!*_>)\]]*(?:<?https?://\S*>?[\s.)]*)?$".replace("{0}", ""),
    re.I,
)  # fmt: skip
_MOBILE_ENGLISH = re.compile(
    r"^[\s*_]*sent from my [\w®™'’+.-]+(?: +[\w®™'’+.-]+){0,5}[\s*_]*(?:<?https?://\S*>?)?$", re.I
)
_SENT_ON_THE_GO = re.compile(r"^(?:via mobile|(?:please )?(?:excuse|pardon|forgive) (?:my |any |the )?(?:brevity|typos?|spelling|fat fingers).{0,60}|sent on the (?:go|move|run)\.?)$", re.I)  # fmt: skip

_DISCLAIMER = re.compile(
    r"^\W{0,6}(?:disclaimer|confidentiality(?: (?:notice|note|warning|statement))?|legal (?:notice|disclaimer)|privacy notice|important(?: notice)?|vertraulichkeitshinweis|haftungsausschluss|rechtlicher hinweis"
    r"|avis de confidentialité|clause de confidentialité|aviso legal|aviso de confidencialidad|aviso de confidencialidade|avviso di riservatezza|vrijwaring|klauzula poufności|ansvarsfriskrivning)\W{0,6}$"
    r"|\b(?:this|the)\b.{0,40}\b(?:e-?mail|message|communication|transmission|information|document)s?\b.{0,160}\b(?:confidential|privileged|intended (?:solely|only|exclusively)|intended for the|strictly prohibited|legally protected|proprietary)"
    r"|\b(?:if you (?:are not|have received|receive)|if you['’]re not)\b.{0,60}\b(?:intended|in error|addressee|by mistake)"
    r"|please consider the environment|think before you print|(?:save|protect).{0,20}\bpaper\b.{0,40}print|has been scanned (?:for|by)|virus[- ]?free[.]? *(?:www|<?https?|$)|this (?:e-?mail|message) (?:was|has been) (?:scanned|checked|sent by)"
    r"|diese (?:e-?mail|nachricht|mitteilung)\b.{0,120}\b(?:vertraulich|geschützt|bestimmt|adressat)|wenn sie nicht der (?:richtige |beabsichtigte )?(?:adressat|empfänger)|bitte (?:denken|prüfen) sie.{0,60}(?:umwelt|ausdruck)"
    r"|(?:ce|cet|le présent) (?:message|courriel|e-?mail|courrier)\b.{0,160}\b(?:confidentiel|destinataire|exclusi)|si vous n['’]êtes pas (?:le )?destinataire|si vous avez reçu ce (?:message|courriel|mail).{0,20}(?:erreur)"
    r"|(?:este|esta|el presente) (?:mensaje|correo|comunicación|mensagem|e-?mail|comunicação)\b.{0,160}\b(?:confidencia|destinat|exclusiv)|si (?:usted )?(?:no es el destinatario|ha recibido este)|se (?:você|vossa|v\.).{0,30}(?:não (?:é|for) o destinatário|recebeu)"
    r"|(?:questo|questa|il presente|la presente|le informazioni)\b.{0,60}(?:messaggio|e-?mail|comunicazione|contenut)\b.{0,160}(?:riservat|destinatar|confidenzial)|(?:dit|deze) (?:e-?mail|bericht)\b.{0,160}(?:vertrouwelijk|bestemd|geadresseerde)"
    r"|(?:ta|niniejsza|treść tej) (?:wiadomość|wiadomości|korespondencja)\b.{0,160}(?:poufn|adresat)|(?:detta|denna|denne|dette)\b.{0,40}(?:meddelande|e-?post|e-?mail|besked|meddelelse|mail)\b.{0,160}(?:konfidentiell|fortrolig|avsett|beregnet|tiltenkt|avsedd)"
    r"|(?:tämä|tässä) (?:viesti|sähköposti)\w*.{0,160}(?:luottamuksell|tarkoitettu)|(?:tato|tento|tyto) (?:zpráva|e-?mail|informace)\b.{0,160}(?:důvěrn|určen|adresát)|bu (?:e-?posta|mesaj|ileti|elektronik posta)\b.{0,160}(?:gizli|kişi)"
    r"|(?:данное|это|настоящее) (?:сообщение|письмо|электронное).{0,160}(?:конфиденциальн|предназначен)|本(?:邮件|郵件|メール|電子メール).{0,80}(?:机密|保密|機密|秘密|意図|受取人|收件人|受信者)",
    re.I | re.S,
)  # fmt: skip
# What every disclaimer has one of; looking for these first keeps the long pattern off ordinary paragraphs.
_DISCLAIMER_WORDS = (
    "confiden", "intended", "privileg", "prohibit", "disclaimer", "legal", "notice", "environment", "print", "scanned",
    "virus", "error", "important", "vertraul", "bestimmt", "geschützt", "adressat", "empfänger", "ausdruck", "haftung",
    "rechtlich", "destinat", "exclusiv", "erreur", "recibido", "recebeu", "riservat", "vertrouwelijk", "bestemd",
    "geadresseerde", "vrijwaring", "poufn", "adresat", "konfident", "fortrolig", "avse", "beregnet", "tiltenkt",
    "luottamuk", "tarkoitettu", "důvěrn", "určen", "gizli", "kişi", "конфиденц", "предназначен", "机密", "保密", "機密",
    "秘密", "意図", "受取人", "收件人", "受信者", "ansvarsfri",
)  # fmt: skip
_LIST_FOOTER = re.compile(
    r"mailing list\b|mailing-list\b|to unsubscribe\b|unsubscribe:|you (?:are )?received? this (?:message|email) because|you are receiving this|reply to this email directly|view it on github|listinfo|"
    r"\bunsubscribe from this|google ?groups|abmelden|se désabonner|darse de baja|cancelar inscripción|disiscriver|uitschrijven",
    re.I,
)
_BANNER = re.compile(
    r"^\W{0,8}(?:(?:caution|warning|attention|notice|achtung|vorsicht|external|extern|externe|attenzione|atención|atenção|let op|uwaga|obs)\b.{0,40}(?:e-?mail|mail|message|sender|nachricht|absender|correo|messaggio|bericht|wiadomość|expéditeur|courriel|externa?l?\b).{0,400}"
    r"|(?:external|externe?r?) (?:e-?mail|sender|message|absender|nachricht)\W*.{0,200}|this (?:e-?mail|message) (?:originated|was sent|came|comes|is) from (?:outside|an external).{0,300}|\[?external\]?\W*"
    r"|diese (?:e-?mail|nachricht) (?:kommt|stammt|wurde) von (?:außerhalb|einem externen).{0,300}|you don['’]t often get email from .{0,200}|(?:sie erhalten nicht (?:oft|häufig) e-mails?|some people who received this message don['’]t often).{0,200}"
    r"|ce (?:message|courriel|mail) (?:provient|vient) (?:de|d['’]un)\b.{0,20}(?:extérieur|externe).{0,300})$",
    re.I | re.S,
)  # fmt: skip

_CONTACT = re.compile(
    r"\b(?:tel|telefon|telephone|téléphone|teléfono|telefone|telefono|phone|ph|fax|mobile?|mob|mobil|handy|cell|office|direct|dir|gsm|móvil|celular|cellulare|kom|puh|tlf|skype|whatsapp|e-?mail|mail|web|website|www|internet|linkedin|twitter|facebook|vat|ust-?id|hrb|siret|cif|nip|kvk|cvr|org\.?nr)\b\.?\s*[:.#(+|]?\s*\S"
    r"|(?:\+|\b00)\d[\d ()./-]{6,}\d|\(?\b\d{2,5}\)?[ ./-]\d{2,4}[ ./-]\d{2,6}\b|[\w.+-]+@[\w-]+\.[\w.]+|(?:https?://|www\.)\S+|^\s*[a-z][.:]\s*\+?[\d(][\d ()./-]{6,}",
    re.I,
)  # fmt: skip
_COMPANY = re.compile(r"\b(?:inc|ltd|llc|gmbh|ag|kg|corp|co|s\.?a\.?r?\.?l?|s\.?p\.?a|b\.?v|n\.?v|oy|ab|as|a/s|aps|sp\. z o\.?o|s\.?r\.?o|plc|pty|kk)\b\.?|(?:株式会社|有限公司|部|课|課)", re.I)  # fmt: skip
_JOB = re.compile(r"\b(?:manager|director|president|ceo|cto|cfo|coo|head of|engineer|developer|consultant|assistant|sales|support|marketing|professor|ph\.?d|dr\.?|leiter\w*|geschäftsführer\w*|vertrieb|directeur|directrice|responsable|gerente|responsabile|medewerker|kierownik|chef|partner|founder|officer|specialist|analyst|coordinator|department|team|university|universität|institute)\b", re.I)  # fmt: skip
_HYPHEN_NAME = re.compile(
    r"^\s{0,2}(?:[-–—~/]{1,2}\s?)(?P<name>[^\W\d_][\w.'’]*(?:\s+[^\W\d_a-zà-þ][\w.'’-]*){0,3})\s*$"
)
_NAME_WORDS = re.compile(r"^[\s*_~-]*(?:(?:dr|mr|mrs|ms|prof|dipl|ing|herr|frau|m|mme)\.?\s+)*[^\W\d_][\w.'’-]*(?:[ ]+(?:(?:van|von|de|der|den|da|di|del|la|le|el|bin|al|y|zu|dos|du)[ ]+)*[^\W\d_][\w.'’-]*){0,3}[\s,.*_~-]*$")  # fmt: skip
_MAX_SIGNATURE_LINES = 16
_SENTENCE = re.compile(r"[?]|[.!]\s+[^\W\d_a-zà-þ]\w+\s+\w+|\b(?:please|bitte|could you|can you|i am|i'm|i have|ich habe|we are|you)\b", re.I)  # fmt: skip


def cut_signature(lines: list[str], sender: str = "", *, all_of_it: bool = False) -> tuple[list[str], list[str]]:
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
    if end < len(lines) and len(paragraph) < 600 and _BANNER.match(paragraph):
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
        if bare[:1] in ("-", "—", "–", "―") and bare and _DELIMITER.match(line):
            if below <= _MAX_SIGNATURE_LINES or line.rstrip("\r\n") == "-- ":
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
        elif position == 0 and len(paragraph) < 500 and _LIST_FOOTER.search(paragraph):
            ruled = start > 0 and is_rule(lines[start - 1])
            if ruled or "http" in paragraph or len(paragraph) < 160:
                found = start
        elif found is None and position >= 3:
            break
    return found


def _is_disclaimer(paragraph: str) -> bool:
    lowered = paragraph.lower()
    return any(word in lowered for word in _DISCLAIMER_WORDS) and _DISCLAIMER.search(paragraph) is not None


def _title(paragraph: str) -> bool:
    return len(paragraph) < 40


def _mobile(lines: list[str], _names: list[str]) -> int | None:
    for at in range(len(lines) - 1, max(len(lines) - 7, -1), -1):
        line = lines[at].strip()
        if not line or len(line) > 160:
            continue
        if _MOBILE_ENGLISH.match(line) or _SENT_FROM.match(line) or _SENT_ON_THE_GO.match(line):
            below = [rest for rest in lines[at + 1 :] if rest.strip()]
            if all(len(rest) < 80 and not _SENTENCE.search(rest) for rest in below):
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
            if _SIGN_OFF.match(line) or (at and _SIGN_OFF_NAMED.match(line) and not _SENTENCE.search(line)):
                if not rest or _hangs_below(rest, names):
                    return _with_thanks_above(lines, at)
            elif rest and _THANKS_LINE.match(line) and _hangs_below(rest, names) and _is_name(rest[0], names):
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
        and _THANKS_LINE.match(lines[above].strip())
        and lines[above].rstrip().endswith(",")
    ):
        return above
    return at


def _hangs_below(rest: list[str], names: list[str]) -> bool:
    """Whether lines can stand in a signature: a name first, no sentences, not too many."""
    if len(rest) > _MAX_SIGNATURE_LINES:
        return False
    sentences = sum(1 for line in rest if len(line) > 100 or _SENTENCE.search(line))
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
    return len(line) <= 50 and bool(_NAME_WORDS.match(line))


def _is_contact(line: str) -> bool:
    return len(line) < 200 and _CONTACT.search(line) is not None


def _hyphen_name(lines: list[str], names: list[str]) -> int | None:
    """`-Ann Smith` or `/Ann` as the last line, or above a contact line or two; not the last item of a list."""
    for at in range(len(lines) - 1, max(len(lines) - 4, -1), -1):
        line = lines[at]
        match = _HYPHEN_NAME.match(line) if len(line) < 60 else None
        if match and at > 0:
            name = match.group("name")
            above = lines[at - 1].lstrip()
            listed = above[:1] in "-–—•*" and above[:2].strip() != ""
            if not listed and name[:1] != name[:1].lower() and not _SENTENCE.search(line) and len(name) < 40:
                rest = [r for r in lines[at + 1 :] if r.strip()]
                if all(_is_contact(r) or _JOB.search(r) for r in rest):
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
        if len(line) < 60 and at and all(len(r) < 80 and not _SENTENCE.search(r) for r in rest):
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
            len(line) > 90 or (_SENTENCE.search(line) and not _is_contact(line)) or line.endswith(":")
        ):
            break
        start -= 1
        if not line:
            continue
        if _is_contact(line):
            contacts += 1
        elif (
            _is_name(line, names)
            or _COMPANY.search(line)
            or _JOB.search(line)
            or is_rule(line)
            or len(line) < 45
        ):
            others += 1
        opens = start == 0 or not lines[start - 1].strip() or bool(is_rule(lines[start - 1]))
        ends_well = any(test(line) for test in (_is_contact, _JOB.search, _COMPANY.search, is_rule)) or (
            _is_name(line, names)
        )
        if opens and contacts >= 2 and ends_well and others <= contacts * 2 + 2:
            best = start
            if not is_rule(line) and _is_name(line, names) and any(name in line.lower() for name in names):
                break
    if best is None or best == 0:
        return None
    # A list of addresses or links that the text announces is content, not a signature.
    above = next((lines[i].rstrip() for i in range(best - 1, -1, -1) if lines[i].strip()), "")
    if above.endswith((":", "：")):
        return None
    return best

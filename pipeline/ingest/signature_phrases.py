"""Sign-offs, mobile lines, disclaimers and footers in many languages: the patterns, without the decisions (see
signatures)."""

# ruff: noqa: E501 - wide scripts count double

from __future__ import annotations

import re

DELIMITER = re.compile(r"^\s{0,2}(?:--|—|–|–-|—-|―)[ \xa0]?\s*$")

_FORMAL = (
    r"(?:with )?(?:(?:my|our) )?(?:very )?(?:best|kind|kindest|warm|warmest|friendly|many|good"
    r"|highest) (?:regards?|wishes|greetings)"
    r"(?: to (?:all|you))?|(?:thanks|thank you)[ ,]*(?:and|&|with)[ ]*(?:(?:kind|best|warm) )?(?:regards?)"
    r"|regards|kr|br|rgds|brgds|b\.?rgds|bests?"
    r"|yours?(?: (?:truly|sincerely|faithfully|respectfully))?|(?:yours )?(?:sincerely|faithfully|truly"
    r"|respectfully|cordially)(?: yours?)?"
    r"|(?:all the|my) best|all the best|cheers|warmly|take care|respectfully(?: submitted)?|rgrds"
    r"|with regards|have a (?:nice|good|great|lovely|wonderful) (?:day|one|weekend|week|evening)"
    r"|(?:mit )?(?:(?:den )?(?:freundlich|herzlich|best|vielen?|lieb|schön|sonnig|kollegial)\w*"
    r"|vorzüglicher) (?:grü(?:ß|ss)\w*|gruessen?|gruß|gruss|wünsch\w*|hochachtung|empfehlungen)(?: (?:aus|von"
    r"|nach)(?: \w+){1,2})?"
    r"|mit (?:freundlichen|besten|herzlichen) grü(?:ß|ss)en|mfg|m\.?f\.?g\.?|vg|lg|bg|glg|viele grü(?:ß|ss)e"
    r"|grü(?:ß|ss)e|gru(?:ß|ss)|beste grü(?:ß|ss)e|hochachtungsvoll|schöne grü(?:ß|ss)e"
    r"|(?:bien )?(?:cordialement|amicalement|sincèrement|respectueusement)(?: (?:vôtre|à vous))?|(?:bien"
    r"|très) (?:cordialement|à vous|amicalement)|salutations(?: distinguées)?|sincères salutations"
    r"|meilleures salutations"
    r"|(?:avec )?mes (?:meilleures|sincères|cordiales) salutations|bien à (?:vous|toi)|cdlt|cdt|(?:veuillez"
    r"|je vous prie).{0,50}salutations.{0,20}"
    r"|(?:(?:un|muchos|reciba un|reciban un) )?(?:saludos?|cordial(?:es)? saludos?)(?: cordial(?:es)?"
    r"| a todos| afectuosos)?|(?:un )?cordial saludo|atentamente|atte|muy atentamente|un abrazo"
    r"|quedo atent[oa].{0,20}"
    r"|atenciosamente|att|cumprimentos|(?:com os )?(?:melhores|meus|os melhores) cumprimentos|cordialmente"
    r"|abraços?|com (?:os melhores )?cumprimentos|grat[oa]|respeitosamente"
    r"|(?:(?:i (?:miei )?più )?(?:cordiali|distinti|migliori)) saluti|saluti|un saluto|un cordiale saluto"
    r"|cordialità|cordialmente|con cordialità|in fede"
    r"|(?:met )?(?:vriendelijke|hartelijke|beste|warme) (?:groet|groeten|groetjes)|(?:hoogachtend|groetjes?"
    r"|groeten?|gr|mvg|m\.?v\.?g\.?)"
    r"|(?:z )?(?:poważaniem|powazaniem|wyrazami szacunku|wyrazami uszanowania)|(?:serdeczne )?pozdrowienia"
    r"|(?:serdecznie )?pozdrawiam(?: serdecznie)?|łączę pozdrowienia|pzdr|pozdr"
    r"|(?:med )?(?:vänlig|vänliga|bästa|hjärtliga|varma|trevlig|många) (?:hälsning(?:ar)?)|hälsningar|hälsn"
    r"|mvh|m\.?v\.?h\.?|vh|bästa hälsningar"
    r"|(?:med )?(?:venlig|venlige|bedste|mange|kærlig|hjertelig|de bedste) hilsen(?:er)?|(?:med )?(?:vennlig"
    r"|vennlige|beste|hjertelig|hyggelig) hilsen|hilsen|hils|dbh|kh|med hilsen|mvh"
    r"|(?:ystävällisin|parhain|lämpimin|terveisin|kunnioittavasti|ystävällisesti)(?: terveisin)?|terveisin"
    r"|terv|t\.|yst\.? terv\.?|yt|terkuin"
    r"|s (?:pozdravem|přáním hezkého dne|úctou|pozdravom)|(?:srdečně |s přátelským )?(?:zdraví(?:m)?"
    r"|pozdravem)|hezký den|děkuji a přeji hezký den|s přáním pěkného dne"
    r"|(?:saygılarım(?:la|ızla)|saygılar(?:ımla)?|iyi (?:günler|çalışmalar|akşamlar)|sevgiler(?:imle)?"
    r"|selamlar|hürmetler(?:imle)?)"
    r"|(?:с )?(?:уважением|наилучшими пожеланиями|найкращими побажаннями|повагою|наилучшими)|всего (?:доброго"
    r"|хорошего|наилучшего)|з повагою|искренне ваш[аи]?|с ув"
    r"|(?:よろしくお願い(?:いた|致)?し?ます|宜しくお願い(?:いた|致)?します|以上、?よろしくお願い(?:いた|致)?します|敬具|草々)|此致|敬礼|顺祝商祺|祝好|谢谢|順頌商祺|敬祝"
    r"|此致敬禮|祝您?(?:工作)?(?:顺利|愉快)"
    r"|(?:üdvözlettel|tisztelettel|köszönettel|üdv)|(?:cu (?:stimă|respect)|toate cele bune|o zi bună)"
    r"|(?:με εκτίμηση|φιλικά)|srdačan pozdrav|lep pozdrav|lp|pozdrav"
    r"|감사합니다|(?:salut(?:acions)?(?: cordials)?)|atentament|lugupidamisega|pagarbiai|ar cieņu|с поздрави"
    r"|хубав ден|בברכה|مع تحياتي|trân trọng"
)  # fmt: skip
_THANKS = (
    r"(?:many |with |lots of )?(?:thanks|thank you|thx|tks|ty)(?: (?:again|so much|very much|a lot|in advance"
    r"|a million|and (?:kind |best )?regards?|for your (?:help|time|support|assistance)|you))*"
    r"|(?:vielen |besten |herzlichen |lieben |schönen |tausend )?dank(?:e)?(?: (?:im voraus|schon mal|vorab"
    r"|und (?:viele |beste |liebe )?gr\w+|schön|sehr|dir|ihnen))*|merci(?: (?:d'avance|beaucoup|bien"
    r"|par avance))*"
    r"|(?:muchas |mil )?gracias(?: (?:de antemano|por todo|y un saludo))*"
    r"|(?:muito )?obrigad[oa](?: desde já)?|desde já,? (?:agradeço|obrigad[oa])|grazie(?: (?:mille"
    r"|in anticipo|e (?:cordiali )?saluti))*"
    r"|(?:alvast |hartelijk )?(?:bedankt|dank(?: je| u)?(?: wel)?)(?: (?:alvast|voor de moeite))?"
    r"|dziękuję(?: (?:bardzo|z góry))?|z góry dziękuję|dzięki|tack(?: (?:på förhand|så mycket))?"
    r"|(?:på forhånd )?(?:mange )?takk?(?: (?:på forhånd|skal du ha))?"
    r"|kiitos(?: (?:etukäteen|paljon))?|děkuj[iu](?: (?:předem|mockrát))?|předem děkuji|díky|teşekkürler"
    r"|teşekkür ederim|şimdiden teşekkürler|(?:заранее )?(?:спасибо|благодарю)|ありがとうございます|köszönöm|mulțumesc"
    r"|hvala"
)  # fmt: skip
_TAIL = r"[\s,.!:;。、！，~/\-–—*_☺️🙂😊🙏]*(?:[,;]?\s*(?:your\s+)?)?"
SIGN_OFF = re.compile(rf"^[\s*_]*(?:{_FORMAL}){_TAIL}$", re.I)
SIGN_OFF_NAMED = re.compile(
    rf"^[\s*_]*(?:{_FORMAL})\s*[,.!/"
    rf" –-]\s*(?P<name>[^\W\d_][\w.'’-]*(?:\s+[^\W\d_][\w.'’-]*){{0,3}})[\s.*_]*$",
    re.I,
)
THANKS_LINE = re.compile(
    rf"^[\s*_]*(?:{_THANKS})(?:[\s,]+(?:and |& |und |et |e |y |og |och |en |a )?(?:{_FORMAL}))?{_TAIL}$", re.I
)

_DEVICE = (
    r"i[ -]?phone|i[ -]?pad|i[ -]?pod|mac(?:book)?|apple ?watch|android|samsung|galaxy|huawei|xiaomi|honor"
    r"|oneplus|oppo|vivo|pixel|nokia|lumia|sony|xperia|htc|lg|motorola|moto|"
    r"black ?berry|windows|outlook|hotmail|yahoo|gmail|inbox|aol|gmx|web\.de|proton ?mail|tutanota|tuta"
    r"|mail\.ru|myMail|fastmail|spark|sparrow|airmail|bluemail|k-9|k9|thunderbird|mailbird|"
    r"mobile|mobil\w*|handy|smartphone|smart ?phone|phone|tablet|mein\w*|treo|palm|blackberry|mozilla"
    r"|mail for|mail app|mail\b|mobiel\w*|telefon\w*|téléphone|móvil|cellulare|puhelime\w*|telefonu"
)  # fmt: skip
SENT_FROM = re.compile(
    r"^[\s*_<(\[]*(?:"
    rf"sent (?:wirelessly )?(?:from|via|with|using|by|on) (?:(?:my|an?"
    rf"|the)\s+[\w®™.'+-]+(?:\s+[\w®™.'+-]+){{0,5}}|(?:the\s+)?(?:{_DEVICE})\b[^,;?!]{{0,50}})"
    rf"|sent (?:securely )?(?:from|via|with) [^,;?!]{{0,30}}(?:{_DEVICE})[^,;?!]{{0,50}}"
    r"|sent from a [^,;?!.]{3,50}"
    rf"|(?:get|download) (?:outlook|yahoo mail|boomerang|bluemail|the app) for [^,;?!]{{2,60}}"
    rf"|(?:von meinem|von meiner|mit meinem|gesendet (?:von|mit|aus|über|via)|diese nachricht wurde (?:von"
    rf"|mit)|vom? (?:mobiltelefon|handy|iphone|ipad|smartphone)) [^,;?!]{{0,80}}"
    rf"|(?:envoyé|envoye|provenance) (?:de|depuis|à partir|avec|via|par|:|d['’])[^,;?!]{{0,80}}|(?:obtenez"
    rf"|télécharger) outlook pour [^,;?!]{{2,50}}|courriel envoyé de mon [^,;?!]{{2,40}}"
    rf"|(?:enviad[oa]|mandado) (?:desde|con|por|mediante|a partir) [^,;?!]{{0,80}}|(?:enviad[oa]"
    rf"|mandado) (?:do|da|de|pelo|via|através) [^,;?!]{{0,80}}|obtener outlook para [^,;?!]{{2,50}}"
    rf"|obter o outlook para [^,;?!]{{2,50}}"
    rf"|(?:inviat[oa]|spedit[oa]|mandato) (?:da|dal|dall['’]|con|tramite|via) ?[^,;?!]{{0,80}}"
    rf"|scarica outlook per [^,;?!]{{2,50}}|ottieni outlook per [^,;?!]{{2,50}}"
    rf"|(?:verzonden|verstuurd|gestuurd) (?:vanaf|vanuit|vanop|met|via|van) [^,;?!]{{0,80}}|(?:download"
    rf"|outlook voor) [^,;?!]{{0,40}}(?:ios|android)[^,;?!]{{0,40}}|outlook voor (?:ios"
    rf"|android)[^,;?!]{{0,40}} downloaden"
    rf"|(?:wysłan[eoay]|wysyłane|wiadomość wysłana) (?:z|przez|ze|za pomocą|przy użyciu)[^,;?!]{{0,80}}"
    rf"|pobierz (?:aplikację )?outlook [^,;?!]{{2,60}}"
    rf"|(?:skickat|skickades|skickade) (?:från|via|med) [^,;?!]{{0,80}}|hämta outlook för [^,;?!]{{2,50}}"
    rf"|(?:sendt|sent) (?:fra|via|med|med) [^,;?!]{{0,80}}|(?:hent|få) outlook (?:til|for) [^,;?!]{{2,50}}"
    rf"|(?:min|fra min) (?:iphone|ipad|mobil)"
    rf"|lähetetty [^,;?!]{{2,80}}|hanki outlook [^,;?!]{{2,60}}|(?:odesláno|odoslané|posláno|odesláno) (?:z"
    rf"|ze|pomocou|pomocí|přes)[^,;?!]{{0,80}}|získat outlook pro [^,;?!]{{2,50}}"
    rf"|[^,;?!]{{2,50}}(?:[’']?(?:den|dan|ten|tan|mdan|ımdan|imden|umdan)) gönderildi"
    rf"|[^,;?!]{{0,40}}gönderildi|отправлено (?:с|из|от|через|при помощи)[^,;?!]{{0,80}}|(?:надіслано"
    rf"|послано) (?:з|с|із)[^,;?!]{{0,80}}"
    rf"|(?:发自|發自|从我的|從我的|來自|来自|傳送自|寄自)[^,;?!。]{{1,40}}|[^,;?!。]{{0,20}}(?:发送|發送)的?$|{{0}}(?:iPhone|iPad"
    rf"|スマートフォン|携帯|Android)[^,;?!。]{{0,10}}から送信|[^,;?!。]{{1,40}}から送信(?:されました)?|(?:나의|내) (?:iphone|ipad)에서 보냄"
    rf"|(?:iphone|ipad)-?(?:emről|omról) küldve|[^,;?!]{{2,40}}küldve|trimis de pe [^,;?!]{{2,60}}"
    rf"|στάλθηκε από [^,;?!]{{2,60}}|enviat des de[^,;?!]{{2,50}}|poslano (?:z|sa|s) [^,;?!]{{2,50}}"
    r")[\s.!*_>)\]]*(?:<?https?://\S*>?[\s.)]*)?$".replace("{0}", ""),
    re.I,
)  # fmt: skip
MOBILE_ENGLISH = re.compile(
    r"^[\s*_]*sent from my [\w®™'’+.-]+(?: +[\w®™'’+.-]+){0,5}[\s*_]*(?:<?https?://\S*>?)?$", re.I
)
SENT_ON_THE_GO = re.compile(
    r"^(?:via mobile|(?:please )?(?:excuse|pardon|forgive) (?:my |any |the )?(?:brevity|typos?|spelling"
    r"|fat fingers).{0,60}|sent on the (?:go|move|run)\.?)$",
    re.I,
)

DISCLAIMER = re.compile(
    r"^\W{0,6}(?:disclaimer|confidentiality(?: (?:notice|note|warning|statement))?|legal (?:notice"
    r"|disclaimer)|privacy notice|important(?: notice)?|vertraulichkeitshinweis|haftungsausschluss"
    r"|rechtlicher hinweis"
    r"|avis de confidentialité|clause de confidentialité|aviso legal|aviso de confidencialidad"
    r"|aviso de confidencialidade|avviso di riservatezza|vrijwaring|klauzula poufności"
    r"|ansvarsfriskrivning)\W{0,6}$"
    r"|\b(?:this|the)\b.{0,40}\b(?:e-?mail|message|communication|transmission|information"
    r"|document)s?\b.{0,160}\b(?:confidential|privileged|intended (?:solely|only|exclusively)"
    r"|intended for the|strictly prohibited|legally protected|proprietary)"
    r"|\b(?:if you (?:are not|have received|receive)|if you['’]re not)\b.{0,60}\b(?:intended|in error"
    r"|addressee|by mistake)"
    r"|please consider the environment|think before you print|(?:save|protect).{0,20}\bpaper\b.{0,40}print"
    r"|has been scanned (?:for|by)|virus[- ]?free[.]? *(?:www|<?https?|$)|this (?:e-?mail|message) (?:was"
    r"|has been) (?:scanned|checked|sent by)"
    r"|diese (?:e-?mail|nachricht|mitteilung)\b.{0,120}\b(?:vertraulich|geschützt|bestimmt|adressat)"
    r"|wenn sie nicht der (?:richtige |beabsichtigte )?(?:adressat|empfänger)|bitte (?:denken"
    r"|prüfen) sie.{0,60}(?:umwelt|ausdruck)"
    r"|(?:ce|cet|le présent) (?:message|courriel|e-?mail|courrier)\b.{0,160}\b(?:confidentiel|destinataire"
    r"|exclusi)|si vous n['’]êtes pas (?:le )?destinataire|si vous avez reçu ce (?:message|courriel"
    r"|mail).{0,20}(?:erreur)"
    r"|(?:este|esta|el presente) (?:mensaje|correo|comunicación|mensagem|e-?mail"
    r"|comunicação)\b.{0,160}\b(?:confidencia|destinat|exclusiv)|si (?:usted )?(?:no es el destinatario"
    r"|ha recibido este)|se (?:você|vossa|v\.).{0,30}(?:não (?:é|for) o destinatário|recebeu)"
    r"|(?:questo|questa|il presente|la presente|le informazioni)\b.{0,60}(?:messaggio|e-?mail|comunicazione"
    r"|contenut)\b.{0,160}(?:riservat|destinatar|confidenzial)|(?:dit|deze) (?:e-?mail"
    r"|bericht)\b.{0,160}(?:vertrouwelijk|bestemd|geadresseerde)"
    r"|(?:ta|niniejsza|treść tej) (?:wiadomość|wiadomości|korespondencja)\b.{0,160}(?:poufn|adresat)|(?:detta"
    r"|denna|denne|dette)\b.{0,40}(?:meddelande|e-?post|e-?mail|besked|meddelelse"
    r"|mail)\b.{0,160}(?:konfidentiell|fortrolig|avsett|beregnet|tiltenkt|avsedd)"
    r"|(?:tämä|tässä) (?:viesti|sähköposti)\w*.{0,160}(?:luottamuksell|tarkoitettu)|(?:tato|tento"
    r"|tyto) (?:zpráva|e-?mail|informace)\b.{0,160}(?:důvěrn|určen|adresát)|bu (?:e-?posta|mesaj|ileti"
    r"|elektronik posta)\b.{0,160}(?:gizli|kişi)"
    r"|(?:данное|это|настоящее) (?:сообщение|письмо|электронное).{0,160}(?:конфиденциальн|предназначен)"
    r"|本(?:邮件|郵件|メール|電子メール).{0,80}(?:机密|保密|機密|秘密|意図|受取人|收件人|受信者)",
    re.I | re.S,
)  # fmt: skip
# What every disclaimer has one of; looking for these first keeps the long pattern off ordinary paragraphs.
DISCLAIMER_WORDS = (
    "confiden", "intended", "privileg", "prohibit", "disclaimer", "legal", "notice", "environment", "print", "scanned",
    "virus", "error", "important", "vertraul", "bestimmt", "geschützt", "adressat", "empfänger", "ausdruck", "haftung",
    "rechtlich", "destinat", "exclusiv", "erreur", "recibido", "recebeu", "riservat", "vertrouwelijk", "bestemd",
    "geadresseerde", "vrijwaring", "poufn", "adresat", "konfident", "fortrolig", "avse", "beregnet", "tiltenkt",
    "luottamuk", "tarkoitettu", "důvěrn", "určen", "gizli", "kişi", "конфиденц", "предназначен", "机密", "保密", "機密",
    "秘密", "意図", "受取人", "收件人", "受信者", "ansvarsfri",
)  # fmt: skip
LIST_FOOTER = re.compile(
    r"mailing list\b|mailing-list\b|to unsubscribe\b|unsubscribe:|you (?:are )?received? this (?:message"
    r"|email) because|you are receiving this|reply to this email directly|view it on github|listinfo|"
    r"\bunsubscribe from this|google ?groups|abmelden|se désabonner|darse de baja|cancelar inscripción"
    r"|disiscriver|uitschrijven",
    re.I,
)
BANNER = re.compile(
    r"^\W{0,8}(?:(?:caution|warning|attention|notice|achtung|vorsicht|external|extern|externe|attenzione"
    r"|atención|atenção|let op|uwaga|obs)\b.{0,40}(?:e-?mail|mail|message|sender|nachricht|absender|correo"
    r"|messaggio|bericht|wiadomość|expéditeur|courriel|externa?l?\b).{0,400}"
    r"|(?:external|externe?r?) (?:e-?mail|sender|message|absender|nachricht)\W*.{0,200}|this (?:e-?mail"
    r"|message) (?:originated|was sent|came|comes|is) from (?:outside|an external).{0,300}|\[?external\]?\W*"
    r"|diese (?:e-?mail|nachricht) (?:kommt|stammt|wurde) von (?:außerhalb|einem externen).{0,300}"
    r"|you don['’]t often get email from .{0,200}|(?:sie erhalten nicht (?:oft|häufig) e-mails?"
    r"|some people who received this message don['’]t often).{0,200}"
    r"|ce (?:message|courriel|mail) (?:provient|vient) (?:de|d['’]un)\b.{0,20}(?:extérieur|externe).{0,300})$",
    re.I | re.S,
)  # fmt: skip

CONTACT = re.compile(
    r"\b(?:tel|telefon|telephone|téléphone|teléfono|telefone|telefono|phone|ph|fax|mobile?|mob|mobil|handy"
    r"|cell|office|direct|dir|gsm|móvil|celular|cellulare|kom|puh|tlf|skype|whatsapp|e-?mail|mail|web|website"
    r"|www|internet|linkedin|twitter|facebook|vat|ust-?id|hrb|siret|cif|nip|kvk|cvr|org\.?nr)\b\.?\s*[:.#(+"
    r"|]?\s*\S"
    r"|(?:\+|\b00)\d[\d ()./-]{6,}\d|\(?\b\d{2,5}\)?[ ./-]\d{2,4}[ ./-]\d{2,6}\b|[\w.+-]+@[\w-]+\.[\w.]+"
    r"|(?:https?://|www\.)\S+|^\s*[a-z][.:]\s*\+?[\d(][\d ()./-]{6,}",
    re.I,
)  # fmt: skip
COMPANY = re.compile(
    r"\b(?:inc|ltd|llc|gmbh|ag|kg|corp|co|s\.?a\.?r?\.?l?|s\.?p\.?a|b\.?v|n\.?v|oy|ab|as|a/s|aps|sp\. z o\.?o"
    r"|s\.?r\.?o|plc|pty|kk)\b\.?|(?:株式会社|有限公司|部|课|課)",
    re.I,
)
JOB = re.compile(
    r"\b(?:manager|director|president|ceo|cto|cfo|coo|head of|engineer|developer|consultant|assistant|sales"
    r"|support|marketing|professor|ph\.?d|dr\.?|leiter\w*|geschäftsführer\w*|vertrieb|directeur|directrice"
    r"|responsable|gerente|responsabile|medewerker|kierownik|chef|partner|founder|officer|specialist|analyst"
    r"|coordinator|department|team|university|universität|institute)\b",
    re.I,
)
HYPHEN_NAME = re.compile(
    r"^\s{0,2}(?:[-–—~/]{1,2}\s?)(?P<name>[^\W\d_][\w.'’]*(?:\s+[^\W\d_a-zà-þ][\w.'’-]*){0,3})\s*$"
)
NAME_WORDS = re.compile(
    r"^[\s*_~-]*(?:(?:dr|mr|mrs|ms|prof|dipl|ing|herr|frau|m|mme)\.?\s+)*[^\W\d_][\w.'’-]*(?:[ ]+(?:(?:van"
    r"|von|de|der|den|da|di|del|la|le|el|bin|al|y|zu|dos|du)[ ]+)*[^\W\d_][\w.'’-]*){0,3}[\s,.*_~-]*$"
)
SENTENCE = re.compile(
    r"[?]|[.!]\s+[^\W\d_a-zà-þ]\w+\s+\w+|\b(?:please|bitte|could you|can you|i am|i'm|i have|ich habe|we are"
    r"|you)\b",
    re.I,
)

"""Word lists that the fact and promise checks read: currencies, months, top-level domains."""

from __future__ import annotations

CURRENCIES: dict[str, str] = {
    "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR",
    "$": "USD", "us$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD", "dólares": "USD",
    "£": "GBP", "gbp": "GBP", "pounds": "GBP", "pfund": "GBP",
    "chf": "CHF", "fr.": "CHF", "sfr.": "CHF", "franken": "CHF", "francs": "CHF",
    "r$": "BRL", "brl": "BRL", "reais": "BRL", "real": "BRL",
    "zł": "PLN", "zl": "PLN", "pln": "PLN", "złoty": "PLN", "złote": "PLN", "złotych": "PLN", "kč": "CZK", "czk": "CZK",
    "sek": "SEK", "nok": "NOK", "dkk": "DKK", "kr": "kr", "kr.": "kr",
    "¥": "JPY", "jpy": "JPY", "yen": "JPY", "cny": "CNY", "₹": "INR", "inr": "INR",
    "cad": "CAD", "aud": "AUD", "mxn": "MXN", "₽": "RUB", "₺": "TRY", "₩": "KRW", "huf": "HUF",
}  # fmt: skip
"""Signs and words, lower case, to ISO codes. "kr" is told apart by no one; it equals itself only."""

_MONTHS_BY_LANGUAGE = {
    "en": "january february march april may june july august september october november december",
    "en short": "jan feb mar apr may jun jul aug sep oct nov dec",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "de short": "jän feb mär apr mai jun jul aug sept okt nov dez",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "fr short": "janv févr mars avr mai juin juil août sept oct nov déc",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "es short": "ene feb mar abr may jun jul ago sept oct nov dic",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "it short": "gen feb mar apr mag giu lug ago set ott nov dic",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "nl short": "jan feb mrt apr mei jun jul aug sep okt nov dec",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "pt short": "jan fev mar abr mai jun jul ago set out nov dez",
    "pl": "styczeń luty marzec kwiecień maj czerwiec lipiec sierpień wrzesień październik listopad grudzień",
    "pl of": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
}
MONTHS: dict[str, int] = {
    word: number for names in _MONTHS_BY_LANGUAGE.values() for number, word in enumerate(names.split(), 1)
}

_GENERIC = (
    "academy aero agency ai app arpa art asia bank bar best bid bio biz blog bond buzz cam care cash cat "
    "beauty beer boats boutique broker build business cafe capital cards careers casino charity cheap church "
    "city claims cleaning coach community computer consulting contact cool country coupons courses credit "
    "creditcard dance data dating deals delivery dental diamonds direct directory discount doctor dog domains "
    "earth energy engineer events exchange expert express fail faith fan farm fashion film financial fish fit "
    "flights forum foundation fund futbol fyi gallery game games garden gift gifts gives global gold golf "
    "graphics gratis green guide guru hair haus healthcare holiday homes hospital house how immo industries "
    "institute international investments ist kim kitchen kiwi land lat lease limited loans london lotto luxury "
    "makeup management map market marketing mba meme moda moe mom mortgage motorcycles movie navy new nyc "
    "observer partners parts photo photos pictures pink pizza plumbing poker porn productions promo properties "
    "pub realestate recipes red rehab rent repair report republican rip rocks rsvp run sale salon sarl save "
    "schule security sexy shoes shopping show singles skin soccer solar soy spa surf surgery sydney systems "
    "tattoo taxi technology tickets tires tokyo tours town toys training tube university uno vacations vegas "
    "ventures versicherung vet video villas vin vote voyage watch webcam wiki wine wtf yachts yoga "
    "center cfd chat click clinic cloud club codes com company coop credit cyou date design dev digital "
    "download edu email eu example finance fun gdn gmbh gov group health help host hosting icu inc info "
    "ink insurance int internal invalid io jobs law legal life link live llc loan loans local localhost "
    "lol ltd media men mil mobi money monster mov museum name net network news one onion online ooo org "
    "page party pay pics plus press pro quest racing rest review run sbs school science services shop "
    "site social software solutions space store stream studio support systems tax team tech tel test "
    "today tools top trade travel vip web website wiki win work works world wtf xyz zip zone "
)
"""Of the more than 1,400 generic top-level domains, those in everyday use and those known for abuse."""

_COUNTRIES = (
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw "
    "by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et "
    "fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie "
    "il im in iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly "
    "ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu "
    "nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl sm "
    "sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va "
    "vc ve vg vi vn vu wf ws ye yt za zm zw "
)

GENERIC_TLDS = frozenset(_GENERIC.split())
COUNTRY_TLDS = frozenset(_COUNTRIES.split())

_OTHER_SCRIPTS = (
    "рф рус онлайн сайт орг москва дети укр бел бг срб мкд мон қаз ευ ελ հայ გე ישראל قطر مصر السعودية امارات "
    "شبكة موقع भारत संगठन ไทย கூகுள் 中国 中國 公司 网络 網絡 网址 在线 中文网 商城 商店 网店 香港 "
    "台灣 台湾 新加坡 みんな コム 한국 닷컴 닷넷"
)
OTHER_SCRIPT_TLDS = frozenset(_OTHER_SCRIPTS.split())
"""Top-level domains in other scripts that mail programs turn into links."""

LOOKALIKES = str.maketrans("аеорсухіѕԁοαρυτι", "aeopcyxisdoaputi")
"""Cyrillic and Greek letters that pass for Latin ones."""

"""Whether a mail says what it wants: clear, vague (nothing to hold on to) or mixed (several things at once)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.models.providers.local.language import common_words

__all__ = ["CLARITIES", "clarity"]

CLARITIES = ("clear", "vague", "mixed")

_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?")
# Words that name no matter: trouble in general, asking for help, the things that every mail is about.
_TROUBLE = frozenset(
    "problem problems issue issues trouble troubles error errors help helps assistance support question questions query queries work works working worked doesnt dont"
    " doesn't don't isn't isnt won't wont broken wrong something anything everything happens happened happening thing things stuff fix fixed urgent asap weird strange bad"
    " mal nicht funktioniert funktionieren geht gehts kaputt hilfe problem probleme frage fragen anliegen fehler etwas falsch irgendwas dringend stimmt klappt"
    " problème problèmes probleme souci soucis aide aider question questions marche fonctionne erreur quelque chose"
    " problema problemas ayuda ayudar pregunta duda dudas funciona error algo mal va"
    " problemi aiuto aiutare domanda dubbio errore qualcosa funzionano"
    " probleem problemen hulp vraag vragen werkt fout iets doet stuk"
    " ajuda ajudar pergunta dúvida erro errado alguma coisa funcionando"
    " problemu problemem pomoc pomocy pomóc pytanie pytania działa błąd coś źle nie"
    " problém pomoc otázka dotaz nefunguje chyba něco problemet hjälp fråga fungerar fel sorun yardım çalışmıyor soru hata probléma segítség kérdés működik hiba"
    " ongelma apua kysymys toimi toimii virhe".split()
)
_OBJECTS = frozenset(
    "account order orders app application product service services website site page system program software subscription device computer customer payment it"
    " konto bestellung produkt dienst seite webseite programm gerät abo rechner kunde zahlung"
    " compte commande produit service site page logiciel abonnement appareil ordinateur application"
    " cuenta pedido producto servicio sitio web página programa suscripción aparato ordenador aplicación"
    " ordine prodotto servizio sito pagina programma abbonamento dispositivo applicazione conto"
    " bestelling dienst website pagina programma abonnement apparaat rekening"
    " conta encomenda produto serviço página assinatura aparelho aplicativo aplicação"
    " zamówienie zamówieniem kontem produkt usługa strona stroną program programem aplikacja aplikacją subskrypcja urządzenie".split()
)
_ASKING = frozenset(
    "where when how much many which wo wann wie wieviel welche où quand combien quel quelle comment dónde donde cuándo cuando cuánto cómo dove quando quanto come"
    " waar wanneer hoe hoeveel onde quando quanto como gdzie kiedy ile jak kde kdy var när nerede hol mikor missä milloin".split()
)
# A wish stated plainly is clear with two words: "cancel my order", "Konto löschen".
_DOING = re.compile(
    r"(?<!\w)(?:cancel\w*|refund\w*|delet\w+|remov\w+|clos(?:e|ing)|chang\w+|updat\w+|track\w*|return\w*|activat\w+|unsubscrib\w*|block\w*|lock\w*|buy|purchase"
    r"|k[üu]ndig\w+|stornier\w+|lösch\w+|änder\w+|schließ\w+|erstatt\w+|zurück\w*|kaufen|bestellen|gesperrt"
    r"|annul\w+|résili\w+|supprim\w+|modifi\w+|ferm\w+|rembours\w+|acheter|bloqu\w+"
    r"|cancel\w+|elimin\w+|borrar|cambiar|cerrar|reembols\w+|devol\w+|comprar|anul\w+"
    r"|disdi\w+|disdett\w+|cancell\w+|chiuder\w+|rimbors\w+|modific\w+|acquist\w+|bloccat\w+"
    r"|opzegg\w+|verwijder\w+|wijzig\w+|terugbetal\w+|kopen|geblokkeerd"
    r"|encerr\w+|exclu\w+|alter\w+|mudar|rescind\w+|usun\w+|anulow\w+|zmieni\w+|zrezygn\w+|zwrot\w*|zablokow\w+)(?!\w)",
    re.IGNORECASE,
)
_UNSURE = 0.33
_HARDLY = 0.2


def clarity(content: Sequence[str], *, confidence: float, mixed: Sequence[str], has_numbers: bool) -> str:
    """One of "clear", "vague", "mixed".

    `content` are the sentences that are not boilerplate, `confidence` is the topic's, `mixed` the
    further topics that are asked beside it, `has_numbers` says whether an order, invoice or account number was found, which alone is something to hold on to.
    """
    words = [word.lower().replace("’", "'") for sentence in content for word in _WORD.findall(sentence)]
    if not words:
        return "vague"
    ordinary = common_words()
    objects = [word for word in words if word in _OBJECTS]
    troubled = any(word in _TROUBLE for word in words)
    telling = {
        word
        for word in words
        if word not in _TROUBLE and word not in _OBJECTS and word not in _ASKING
        and (word not in ordinary or word.isdigit()) and len(word) > 2
    }  # fmt: skip
    asked = any(word in _ASKING for word in words) and bool(objects) and not troubled
    stated = asked or has_numbers or _DOING.search("\n".join(content)) is not None
    if not telling and not stated:
        return "vague"
    if confidence < _HARDLY or (confidence < _UNSURE and len(telling) <= 2 and not stated):
        return "vague"
    if troubled and not stated and len(telling) <= 1 and len(words) <= 12 and confidence < 0.75:
        return "vague"
    if mixed:
        return "mixed"
    return "clear"

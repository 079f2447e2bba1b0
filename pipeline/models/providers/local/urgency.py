"""How urgent a mail is: cue rules in ten languages; polite closings do not count."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["URGENCIES", "urgency"]

URGENCIES = ("low", "normal", "high", "critical")


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)", re.IGNORECASE)


# "Please answer as soon as possible" is how people end letters; it is taken out before anything is looked for.
_POLITE = _any(
    r"(?:please |kindly )?(?:get back to me|reply|respond|answer|let me know|hear from you|contact me|help(?: me)?|advise|look into (?:it|this)|waiting for your (?:reply|response))"
    r"[^.!?\n]{0,40}(?:as soon as (?:possible|you can)|asap|soon|quickly|at your earliest convenience|promptly|today|tomorrow)",
    r"(?:as soon as possible|asap)[^.!?\n]{0,12}(?:please|thanks|thank you)",
    r"(?:antwort|rückmeldung|melden|hören|helfen|hilfe)\w*[^.!?\n]{0,30}(?:so (?:bald|schnell) wie möglich|möglichst (?:bald|schnell)|zeitnah\w*|baldig\w*|schnellstmöglich)",
    r"(?:baldige|schnelle|zeitnahe|rasche|schnellstmögliche) (?:antwort|rückmeldung|hilfe|bearbeitung)",
    r"(?:réponse|répondre|retour)[^.!?\n]{0,30}(?:rapide\w*|dès que possible|au plus vite|dans les meilleurs délais|prompte?)",
    r"(?:respuesta|responder|contestar?)[^.!?\n]{0,30}(?:lo antes posible|cuanto antes|pronto|rápida)|pronta respuesta",
    r"(?:risposta|rispondere|riscontro)[^.!?\n]{0,30}(?:al più presto|prima possibile|rapid\w+|celere|sollecito)|(?:celere|rapida|sollecita) risposta",
    r"(?:antwoord|reactie|reageren|horen)[^.!?\n]{0,30}(?:zo (?:snel|spoedig) mogelijk|snel|spoedig)|(?:snelle|spoedige) (?:reactie|antwoord)",
    r"(?:resposta|responder|retorno)[^.!?\n]{0,30}(?:o mais (?:rápido|breve) possível|assim que possível|breve|rápida)",
    r"(?:odpowied\w+|odpisa\w+)[^.!?\n]{0,30}(?:jak najszyb\w+|szybk\w+|pilne)|(?:szybką|pilną) odpowiedź",
)
_NOT_URGENT = _any(
    r"(?:not|isn't|isnt|nothing|no|never|hardly|not (?:very|that|super|really)) urgent",
    r"no (?:rush|hurry)|whenever you (?:have|find|get) (?:the |some )?time|when you (?:have|get) a (?:moment|minute|chance)|low priority|take your time",
    r"nicht (?:\w+ )?(?:dringend|eilig)|eilt nicht|keine eile|hat (?:keine eile|zeit)|ohne eile",
    r"pas (?:\w+ )?urgent\w*|rien d'urgent|quand vous aurez le temps|sans urgence",
    r"no (?:es|corre|tengo) (?:urgente|prisa)|sin prisa|cuando pueda[ns]?",
    r"non (?:è |c'è )?(?:urgente|fretta|urgenza)|senza fretta|con calma",
    r"niet (?:dringend|urgent)|geen (?:haast|spoed)|wanneer het uitkomt",
    r"não (?:é|tem|há) (?:urgente|pressa|urgência)|sem pressa|quando puder(?:em)?",
    r"nie(?: jest)? piln[ea]|bez pośpiechu|nie spieszy się|w wolnej chwili|nespěchá|inte brådskande|ingen brådska|acil değil|nem sürgős|ei kiireellinen",
)
_CRITICAL = _any(
    # down for everybody
    r"(?:production|prod|our (?:whole |entire )?(?:site|shop|store|system|platform|service|website|server)|the (?:whole|entire) (?:site|shop|system|platform|company|service)|everything|all (?:our )?(?:servers|systems|sites|services))"
    r" (?:is|are|has been|have been|went|being) (?:completely |totally |currently |all )?(?:down|offline|dead|unreachable|broken|unavailable)",
    r"production (?:outage|down|incident|is affected|system)|(?:complete|total|major|full) outage|outage (?:for|affecting|of) (?:all|every)|sev(?:erity)? ?(?:1|one)|p1 incident",
    r"(?:no ?one|nobody|none of (?:us|our \w+)|all (?:of )?our (?:users|customers|staff|employees)|the whole (?:team|office|company)) (?:can(?:not|'t)?|is able|are (?:un|not )able|is locked|are locked)"
    r"[^.!?\n]{0,40}(?:work|log ?in|sign in|order|pay|access|locked out|connect|open)?",
    r"(?:produktion|produktivsystem|(?:unser|das) (?:ganze[sr]? )?(?:shop|system|server|webseite|website)|alle (?:systeme|server)|alles) (?:ist|sind|steht|liegt)?[^.!?\n]{0,20}(?:ausgefallen|offline|down|nicht erreichbar|still|lahm)|(?:total|komplett|system)ausfall|niemand kann (?:mehr )?(?:arbeiten|sich \w+|bestellen)",
    r"(?:production|tout le système|notre (?:site|boutique|serveur|système)|tous (?:nos|les) (?:serveurs|services)) (?:est|sont) (?:\w+ )?(?:en panne|hors service|hors ligne|inaccessibles?|down)|panne (?:totale|générale|complète)|plus personne ne peut",
    r"(?:producción|todo el sistema|nuestr[oa] (?:sitio|tienda|servidor|sistema|web)) (?:está|esta|se ha|ha) (?:caíd[oa]|fuera de servicio|parad[oa])|caída (?:total|general)|nadie puede (?:trabajar|entrar|acceder|comprar)",
    r"(?:produzione|tutto il sistema|il nostro (?:sito|negozio|server|sistema)) è (?:\w+ )?(?:ferm[oa]|giù|offline|bloccat[oa]|irraggiungibile)|nessuno riesce a|blocco totale",
    r"(?:productie|het hele systeem|onze (?:site|webshop|server|website)|alles) (?:ligt|is) (?:\w+ )?(?:plat|eruit|offline|down|onbereikbaar)|niemand kan (?:meer )?(?:werken|inloggen|bestellen)|totale storing",
    r"(?:produção|todo o sistema|(?:o )?noss[oa] (?:site|loja|servidor|sistema)) (?:está|esta|caiu|parou)(?: \w+)? ?(?:fora do ar|parad[oa]|offline|em baixo)?|ninguém consegue",
    r"(?:produkcja|cały system|nasz (?:sklep|serwer|system)|nasza strona) (?:\w+ )?(?:nie działa|padł\w?|leży|stoi)|całkowita awaria|nikt nie może",
    # data lost, broken into, money going away now
    r"(?:all|our|customer|the) (?:\w+ )?data (?:is|are|was|were|has been|have been|got) (?:\w+ )?(?:lost|deleted|gone|wiped|leaked|stolen|exposed|corrupted)|data (?:breach|leak)|lost all (?:our|my|the) (?:\w+ )?data|ransomware",
    r"(?:security|data) (?:breach|incident)|(?:been|was|were|got) (?:hacked|breached|compromised)|hacked (?:my|our|into)|unauthori[sz]ed access|someone (?:has )?(?:broke|broken) into",
    r"(?:can|could) see (?:other|another) (?:customers?|users?|people|person)(?:'s|s)? (?:data|orders?|invoices?|details|account)|(?:card|identity|phone|wallet) (?:was|has been|got|is) stolen|stole my (?:card|phone|identity)|fraudulent (?:transactions?|charges?|payments?)",
    r"datenleck|datenverlust|datenpanne|(?:gehackt|kompromittiert)|sicherheits(?:vorfall|lücke|leck)|(?:alle|unsere) daten (?:sind )?(?:weg|gelöscht|verloren)|karte (?:wurde )?gestohlen|unbefugter zugriff",
    r"fuite de données|piraté[es]?|perte de (?:toutes? )?(?:nos|les|mes) données|toutes (?:nos|mes) données ont (?:disparu|été)|faille de sécurité|accès non autorisé|carte (?:a été )?volée",
    r"fuga de datos|hackead[oa]s?|hackearon|pérdida de (?:todos los )?datos|(?:perdido|borrado) todos (?:los|mis|nuestros) datos|brecha de seguridad|acceso no autorizado|robaron (?:la|mi) tarjeta|tarjeta robada",
    r"violazione dei dati|hackerat[oi]|hanno hackerato|perdita di (?:tutti i )?dati|persi tutti i dati|falla di sicurezza|accesso non autorizzato|carta rubata",
    r"datalek|gehackt|gegevens (?:zijn )?(?:gelekt|kwijt|verdwenen|gewist)|beveiligings(?:lek|incident)|onbevoegde toegang|pas (?:is )?gestolen",
    r"vazamento de dados|hackead[oa]s?|invadi(?:da|do|ram)|perda de (?:todos os )?dados|falha de segurança|acesso não autorizado|cartão (?:foi )?roubado",
    r"wyciek danych|zhakowan\w+|włama(?:no|ł|nie)\w*|utrata danych|utracono (?:wszystkie )?dane|luka w zabezpieczeniach|nieautoryzowany dostęp|skradzion[oaey]\w*",
    r"únik dat|napaden|hacknut\w*|dataintrång|hackat\w*|feltörték|hakkeroitu|murrettu|hacklendi|çalındı",
    r"(?:medical|life.threatening) emergency|danger to life|caught fire|on fire|burn(?:s|ed|t) (?:me|my)|electric shock|lebensgefahr|stromschlag|brennt",
)
_URGENT = _any(
    r"urgent(?:ly)?|asap|a\.s\.a\.p\.|immediate (?:help|attention|action|assistance|response|refund|solution)|this instant|emergency|time.critical|time.sensitive|cannot wait|can't wait",
    # "It crashes immediately" tells when, "I need it immediately" how much.
    r"(?:need|want|must|please|fix|help|refund|answer|respond|reply|send|stop|resolve|solve|demand|require|cancel|delete)\w*[^.!?\n]{0,40} (?:immediately|right (?:now|away)|at once)",
    r"dringend\w*|eilig|eilt|sofort(?:ige\w*)?|umgehend\w*|unverzüglich|notfall|schnellstmöglich",
    r"urgence|urgent[es]?|immédiatement|tout de suite|sans délai|au plus vite|d'urgence",
    r"urgente(?:mente)?s?|urge|inmediat[oa](?:mente)?|de inmediato|ahora mismo|emergencia|cuanto antes|lo antes posible",
    r"urgenza|urgentissim\w+|immediat[oa](?:mente)?|subito|emergenza|al più presto",
    r"spoed|onmiddellijk|meteen|per direct|zo snel mogelijk|noodgeval",
    r"urgência|imediat[oa](?:mente)?|agora mesmo|emergência|o mais rápido possível",
    r"piln[ea]|pilnie|natychmiast\w*|niezwłocznie|jak najszybciej|nagły wypadek",
    r"naléhav\w+|spěchá|okamžitě|co nejdříve|brådskande|akut|omedelbart|genast|acil(?:en)?|hemen|derhal|sürgős\w*|azonnal|kiireelli\w+|heti|välittömästi",
)
_DEADLINE = _any(
    r"(?:by|before|until|till|due|deadline|expires?|ends?|closes?|needed?|must|have to|leav\w+|flight|event|wedding|exam|presentation|meeting|launch)[^.!?\n]{0,40}(?:today|tonight|tomorrow|this (?:morning|afternoon|evening)|end of (?:the )?day|eod|(?:in|within) (?:a few|one|two|\d{1,2}) hours?|noon|midnight)",
    r"(?:today|tomorrow|tonight) (?:is|are) (?:the|my|our) (?:deadline|last day|exam|launch|event|wedding|flight)|within (?:24|48|\d{1,2}) hours|last day (?:is|to)",
    r"(?:bis|frist|spätestens|muss|müssen|brauch\w+|läuft)[^.!?\n]{0,40}(?:heute|morgen(?! früh\w*en)|heute abend|in (?:einer|zwei|wenigen|\d+) stunden?)|frist (?:läuft|endet)",
    r"(?:avant|d'ici|pour|échéance|besoin|dois|expire)[^.!?\n]{0,40}(?:aujourd'hui|demain|ce soir|dans (?:une|deux|quelques|\d+) heures?)",
    r"(?:antes|para|plazo|necesito|tengo que|vence)[^.!?\n]{0,40}(?:hoy|mañana|esta (?:tarde|noche)|en (?:una|dos|pocas|\d+) horas?)",
    r"(?:entro|prima|per|scade|scadenza|devo|ho bisogno)[^.!?\n]{0,40}(?:oggi|domani|stasera|(?:poche|due|\d+) ore)",
    r"(?:voor|uiterlijk|deadline|moet|nodig)[^.!?\n]{0,40}(?:vandaag|morgen|vanavond|(?:twee|enkele|\d+) uur)",
    r"(?:até|antes|para|prazo|preciso|vence)[^.!?\n]{0,40}(?:hoje|amanhã|esta (?:tarde|noite)|(?:poucas|duas|\d+) horas?)",
    r"(?:do|przed|termin|muszę|potrzebuj\w+)[^.!?\n]{0,40}(?:dzisiaj|dziś|jutra|jutro|wieczora|\d+ godzin)",
)
_LEGAL = _any(
    r"(?:my |our |a )?(?:lawyer|solicitor|attorney)s?|legal (?:action|steps|proceedings)|take (?:you|this) to court|sue you|small claims|trading standards|ombudsman|data protection (?:authority|officer)|chargeback",
    r"(?:rechts)?anw[aä]lt\w*|rechtliche schritte|verbraucherzentrale|anzeige erstatten|klage (?:einreichen|erheben)|datenschutzbehörde",
    r"avocat|poursuites|action en justice|tribunal|répression des fraudes|mise en demeure|porter plainte|CNIL",
    r"abogad[oa]|acciones legales|demandar\w*|denuncia\w*|oficina del consumidor|AEPD",
    r"avvocato|vie legali|azioni legali|denuncia\w*|querela|tribunale|garante",
    r"advocaat|juridische stappen|rechtszaak|aangifte|consumentenbond|rechter",
    r"advogad[oa]|processar|ação judicial|medidas legais|procon|tribunal",
    r"prawnik\w*|adwokat\w*|kroki prawne|pozew|pozwę|do sądu|uokik|rzecznik\w* konsument\w+",
)
_STUCK = _any(
    r"can(?:not|'t) (?:work|pay|use (?:it|the (?:app|system|software|service)) at all|access (?:anything|my money))|unable to work|stuck (?:at|in|abroad)|stranded|no access to my money|losing (?:money|customers|sales|orders)",
    r"(?:kann|können) nicht (?:mehr )?(?:arbeiten|zahlen|bezahlen)|verlieren (?:geld|kunden|umsatz)|sitze fest",
    r"(?:peux|pouvons) (?:pas|plus) (?:travailler|payer)|bloqué à l'étranger|perdons (?:de l'argent|des clients)",
    r"no (?:puedo|podemos) (?:trabajar|pagar)|perdiendo (?:dinero|clientes|ventas)|non (?:posso|possiamo) (?:lavorare|pagare)|perdendo (?:clienti|soldi)",
    r"kan niet (?:meer )?(?:werken|betalen)|não (?:posso|consigo|conseguimos) (?:trabalhar|pagar)|nie mog(?:ę|emy) (?:pracować|zapłacić)|tracimy (?:klientów|pieniądze)",
)


def urgency(content: Sequence[str], topic: str, emotion: str) -> str:
    """One of "low", "normal", "high", "critical", from the sentences that are not boilerplate.

    What a mail says of itself only ever raises it: "not urgent" makes a mail low, never one that also tells
    of an outage, a break-in or a deadline.
    """
    text = _POLITE.sub(" ", "\n".join(content))
    denied = _NOT_URGENT.search(text) is not None
    text = _NOT_URGENT.sub(" ", text)
    if _CRITICAL.search(text):
        return "critical"
    weight = 2 * bool(_LEGAL.search(text)) + 2 * bool(_STUCK.search(text)) + 2 * bool(_DEADLINE.search(text))
    weight += 2 * bool(_URGENT.search(text)) + (emotion == "angry")
    if weight >= 2:
        return "high"
    if denied or topic == "feature_request":
        return "low"
    return "normal"

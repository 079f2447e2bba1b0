"""Promises are told from talk about promises, in eight languages."""

from __future__ import annotations

import time

import pytest

from pipeline.drafting.deadlines import deadlines_in
from pipeline.drafting.promises import mentions_in, promises_in, speaks_of

PROMISES = {
    "refund": """
Zwrócimy Państwu całą kwotę.
Pieniądze zostaną zwrócone na Państwa konto.
Zwrot został zatwierdzony.
You will get 500 EUR.
Você tem direito a um reembolso.
Creditaremos o valor na sua fatura.
U krijgt een tegoed van 20 euro.
We storten het bedrag vandaag nog terug.
Avrà diritto a un rimborso.
Le accreditiamo 50 euro.
Su dinero será devuelto.
Nous annulons la facture et vous remboursons.
Sie bekommen den Betrag zurück.
Wir kommen für den Schaden auf und erstatten alles.
I have arranged for the 29 EUR to be refunded.
Garantimos o reembolso total.
O valor já foi devolvido à sua conta.
U heeft recht op een volledige vergoeding.
Het bedrag is naar uw rekening teruggeboekt.
Abbiamo già avviato il rimborso.
L'importo Le sarà rimborsato.
Ya hemos tramitado la devolución de su dinero.
Se le devolverá el importe íntegro.
Nous avons remboursé les deux prélèvements.
La somme vous sera restituée.
Eine Gutschrift ist veranlasst.
Der Kaufpreis wird Ihnen vollständig erstattet.
Die 49 Euro bekommen Sie von uns wieder.
Wir haben Ihnen das Geld bereits zurückgebucht.
The charge has been cancelled and the sum returned to you.
We owe you a refund and will pay it.
A credit of 30 EUR has been added to your account.
We are happy to refund both charges.
Your money will be back in your account soon.
We have already started the refund on our side.
Rest assured, every cent will be refunded.
Devolveremos o valor integral.
O estorno será realizado.
Nós vamos devolver o seu dinheiro.
O seu reembolso foi aprovado.
U krijgt uw geld terug.
Wij zullen het volledige bedrag terugbetalen.
Uw terugbetaling is goedgekeurd.
Le restituiremo l'importo.
Riceverà indietro i Suoi soldi.
Le abbiamo rimborsato l'intero importo.
Il rimborso è stato approvato.
Vamos a devolverle el dinero.
Recibirá el reembolso en su tarjeta.
Le hemos reembolsado el importe completo.
Su reembolso ha sido aprobado.
Le remboursement est en cours.
Un avoir de 20 euros vous sera crédité.
Vous serez remboursé de 500 euros.
Nous allons vous rembourser intégralement.
Votre remboursement a été validé.
Die Gebühr erlassen wir Ihnen.
Den doppelt abgebuchten Betrag buchen wir zurück.
Als Entschädigung bekommen Sie einen Gutschein über 50 Euro.
Ich habe Ihnen 500 Euro überwiesen.
Sie erhalten selbstverständlich Ihr Geld zurück.
Wir werden Ihnen den vollen Betrag zurückzahlen.
Ihre Erstattung wurde genehmigt.
Die Rückerstattung ist unterwegs.
The payment will be sent back to you.
We will waive the fee.
We'll reverse the charge.
The $29 will be credited to your account.
We will compensate you with 100 dollars.
As a gesture of goodwill we are adding a month free of charge.
Consider it refunded.
We guarantee a refund.
You are entitled to a refund of the full price.
I've gone ahead and refunded your purchase.
The amount has been returned to your card.
We're giving you a full refund.
Good news: you'll get all of your money back.
A refund of 49 EUR is on its way to you.
Your refund of $500 is approved.
We will refund you 500 €.
We have refunded the amount of 49 €.
You will receive a full refund.
Your refund has been approved.
We will check your account and refund you 500 €.
I am happy to say that your money is on its way back: we issued the refund.
We'll pay you the whole sum back.
We have credited your account with 20 dollars.
The double charge has been reimbursed.
Wir erstatten Ihnen den Betrag.
Sie erhalten eine Gutschrift über 20 €.
Wir schreiben Ihnen 20 € gut.
Wir haben die Rückerstattung veranlasst.
Der Betrag wird Ihnen zurücküberwiesen.
Sie bekommen Ihr Geld zurück.
Wir zahlen Ihnen die 89 Euro zurück.
Nous vous rembourserons la totalité.
Vous recevrez un remboursement complet.
Le montant vous sera remboursé.
Nous avons procédé au remboursement.
Le reembolsaremos el importe.
Hemos aprobado su reembolso.
Le devolveremos el dinero.
La rimborseremo al più presto.
Riceverà un rimborso completo.
Abbiamo disposto il rimborso.
Wij betalen u het bedrag terug.
U ontvangt een volledige terugbetaling.
Het bedrag wordt teruggestort.
Vamos reembolsar o valor.
Você receberá o reembolso.
O reembolso foi aprovado.
O valor será estornado.""",
    "discount": """
Le damos un cupón de 10 euros.
Ihr Rabatt von 20 % ist freigeschaltet.
We are going to make it up to you with a voucher.
We'll knock 20 dollars off your next bill.
You can look forward to a 15% discount.
Daremos um mês grátis a você.
Wij geven u een maand gratis.
Le regaliamo uno sconto del 20%.
Le regalamos un mes gratis.
Vous bénéficiez d'une remise de 20 euros.
Sie dürfen sich über 10 Prozent Rabatt freuen.
This month is free of charge for you, we have arranged that.
A new pair is being sent out to you at no cost.
You'll find a voucher code worth 25 USD attached, we are giving it to you.
Você vai receber um desconto de 20%.
We geven u 15% korting.
Le offriamo un buono sconto di 20 euro.
Le ofrecemos un 20 % de descuento.
Nous vous accordons une réduction de 15 %.
Wir schicken Ihnen kostenlos Ersatz zu.
Wir gewähren Ihnen 20 % Rabatt.
I can offer you 50% off.
You get 20% off your next order, and we send you a voucher.
We offer you a discount of 10 %.
You will receive the next month: we have added a free month.
Sie erhalten einen Treuerabatt von 10 %.
Wir senden Ihnen einen Gutschein.
Nous vous offrons une remise de 10 %.
Recibirá un descuento.
Le offriamo uno sconto del 10 %.
U krijgt 10 euro korting.
Oferecemos um desconto de 10 %.""",
    "replacement": """
Wir liefern Ihnen eine neue Kanne als Ersatz.
A brand new item will be sent.
Vamos trocar o produto.
Wij sturen u een nieuw product toe.
Le spediremo un nuovo prodotto.
Le cambiaremos el producto.
Nous vous envoyons un nouveau produit.
Selbstverständlich tauschen wir den Artikel um.
Enviaremos um produto novo.
Wij vervangen het product.
Sostituiremo il prodotto.
Le enviaremos un producto nuevo.
Un nouvel article vous sera envoyé.
Sie bekommen ein neues Gerät.
We will ship a replacement today.
We'll send you a replacement.
A new unit will be shipped to you: we are sending a new one.
Wir senden Ihnen Ersatz.
Wir tauschen das Gerät aus.
Nous vous envoyons un remplacement.
Le enviaremos un reemplazo.
Le inviamo un prodotto sostitutivo: la sostituzione sarà spedita.
Wij sturen u een vervangend exemplaar.
Vamos enviar a substituição.""",
}
TALK = """
The refund of 29 € that you asked for is with our billing team.
Die Erstattung von 29 €, die Sie wünschen, wird gerade geprüft.
Your refund question needs a colleague from billing.
We would need the order number before we can say anything about a refund.
Thanks for the photo of the damaged cup.
Our colleagues compare both payments with the bank.
You asked for a discount for twelve users; a colleague from sales takes this over.
We have passed your wish for an exchange to the returns team.
Nothing has been charged to your card, as far as we can see.
It is not yet decided whether a replacement can be sent.
Zu Ihrer Rückerstattung fragen wir in der Buchhaltung nach.
Ihren Umtauschwunsch haben wir weitergegeben.
Ob ein Rabatt möglich ist, entscheidet der Vertrieb.
Wir sehen zwei Zahlungen über 29 Euro am selben Tag.
Nous comprenons que vous attendez votre remboursement.
Le service concerné décidera d'une éventuelle remise.
Su petición de devolución está en manos del equipo.
Todavía no sabemos si el cambio es posible.
La Sua richiesta di sostituzione è stata inoltrata.
Non sappiamo ancora se lo sconto sia possibile.
Uw vraag over de korting is doorgestuurd.
Of een vervanging mogelijk is, weten we nog niet.
O seu pedido de troca foi encaminhado.
Ainda não sabemos se o desconto é possível.
The team that handles refunds will read your message.
We understand that you would like your money back.
Your question about the discount code has been passed on.
To ask for a replacement, please tell us the order number.
We have noted that you want to return the item.
Please confirm that you would like to exchange the shoes.
Our records show two payments of 29 EUR on the same day.
We are looking into why you were charged twice.
We cannot say yet whether a discount applies.
The discount code could not be found.
We are sorry that the coupon was not accepted.
As soon as the parcel is back with us, the team looks at it.
Could you send us a photo, so that we can see the damage?
Your plan includes three users.
Wir haben notiert, dass Sie den Artikel zurückgeben möchten.
Wir verstehen, dass Sie Ihr Geld zurück möchten.
Die Kollegen aus der Buchhaltung prüfen die doppelte Abbuchung.
Bitte teilen Sie uns mit, ob Sie Ersatz oder eine Erstattung wünschen.
Der Gutscheincode wurde nicht angenommen, das tut uns leid.
Wir haben Ihre Nachricht zum Rabatt weitergeleitet.
Vous souhaitez un remboursement et nous l'avons noté.
Nous avons transmis votre question sur la remise.
Nous regrettons que le code promo n'ait pas fonctionné.
Préférez-vous un échange ou un remboursement ?
Entendemos que desea la devolución de su dinero.
El equipo de facturación está revisando el doble cargo.
Lamentamos que el descuento no se haya aplicado.
¿Prefiere un cambio o un reembolso?
Comprendiamo che desidera un rimborso.
Il reparto contabilità sta verificando il doppio addebito.
Ci dispiace che lo sconto non sia stato applicato.
Wij begrijpen dat u uw geld terug wilt.
De afdeling facturatie kijkt naar de dubbele afschrijving.
Het spijt ons dat de kortingscode niet werkt.
Entendemos que deseja o reembolso.
A equipe financeira está verificando a cobrança em duplicidade.
Lamentamos que o desconto não tenha sido aplicado.
We are checking whether a refund is possible.
We have received your request about a refund.
Thank you for asking about our refund policy.
Regarding your refund, we will check the status and write to you.
We cannot promise a refund.
Unfortunately we can't refund shipping costs.
Which order is the refund for?
Would you prefer a refund or a replacement?
You wrote that you have not received your refund.
We will look into the double charge and get back to you.
We have forwarded your request for a refund to the billing team and will get back to you.
To change your plan, open the settings and choose the new one.
Please send us a photo of the damaged item.
You can exchange messages with the team there.
If a refund is due, the billing team decides on it.
We will get back to you.
Please send the parcel back to us.
Wir prüfen, ob eine Rückerstattung möglich ist.
Ihre Anfrage zu einer Rückerstattung haben wir erhalten.
Es tut uns leid, dass Sie noch keine Erstattung erhalten haben.
Wir leiten Ihre Bitte um Erstattung weiter.
Leider können wir den Betrag nicht erstatten.
Wir melden uns zurück, sobald wir mehr wissen.
Das ist eine gute Frage, wir schreiben Ihnen.
Nous vérifions si un remboursement est possible.
Nous avons bien reçu votre demande de remboursement.
Nous ne pouvons pas vous rembourser.
Hemos recibido su solicitud de reembolso.
Estamos comprobando si es posible un reembolso.
No podemos devolver el importe.
Abbiamo ricevuto la Sua richiesta di rimborso.
Verifichiamo se un rimborso è possibile.
Non possiamo rimborsare le spese.
Wij controleren of een terugbetaling mogelijk is.
Wij hebben uw verzoek om terugbetaling ontvangen.
Wij komen hier bij u op terug.
Recebemos o seu pedido de reembolso.
Estamos verificando se o reembolso é possível.
Não podemos reembolsar o frete."""


@pytest.mark.parametrize(
    ("category", "sentence"),
    [(category, line) for category, lines in PROMISES.items() for line in lines.strip().splitlines()],
)
def test_a_promise_is_seen(category: str, sentence: str) -> None:
    assert category in [promise.category for promise in promises_in(sentence)]


@pytest.mark.parametrize("sentence", TALK.strip().splitlines())
def test_talk_about_it_is_no_promise(sentence: str) -> None:
    assert promises_in(sentence) == []


MENTIONS = """
You'll see the money again by the end of the week, we have paid it out.
The refund went through yesterday.
We are crediting 12 months to your plan.
A discount code is waiting in your inbox.
Your replacement left our warehouse.
Die Rückerstattung ist erledigt.
Ihr Ersatzgerät ist schon verpackt.
Der Rabatt gilt auch für Sie.
Votre remboursement arrive sur votre compte.
La remise s'applique à votre commande.
Le remplacement part aujourd'hui.
El reembolso ya está hecho.
El descuento es suyo.
Il rimborso è partito.
Lo sconto è Suo.
De terugbetaling is al gedaan.
De korting is voor u.
O reembolso já caiu na sua conta.
O desconto é seu."""


@pytest.mark.parametrize("sentence", MENTIONS.strip().splitlines())
def test_what_falls_short_of_a_promise_is_still_marked(sentence: str) -> None:
    assert mentions_in(sentence)


def test_a_mark_too_many_is_rare() -> None:
    talk = TALK.strip().splitlines()
    assert len([sentence for sentence in talk if mentions_in(sentence)]) <= len(talk) // 10


def test_a_hostile_text_costs_little_time() -> None:
    for text in (
        "refund " * 900,
        "a" * 6000,
        "zurück " * 900,
        "wir " * 1500,
        "in 3 " * 1200,
        "e , " * 1500,
        "refund, e " * 600,
        "%" * 6000,
    ):
        started = time.process_time()
        promises_in(text)
        mentions_in(text)
        deadlines_in(text)
        assert time.process_time() - started < 2.0, text[:10]


def test_a_policy_that_refuses_supports_nothing() -> None:
    assert speaks_of("Refunds are paid within 30 days.", "refund")
    assert not speaks_of("We never pay refunds.", "refund")
    assert not speaks_of("Delivery takes four days.", "refund")


@pytest.mark.parametrize(
    ("sentence", "form"),
    [
        ("You will hear from us within 24 hours.", "24 hour"),
        ("Es dauert 3 bis 5 Tage, spätestens in 5 Werktagen ist es da.", "5 workday"),
        ("Wir melden uns innerhalb von drei Tagen.", "3 day"),
        ("Vous aurez une réponse dans 2 jours.", "2 day"),
        ("Le responderemos en un plazo de 2 días.", "2 day"),
        ("Le risponderemo entro 3 giorni.", "3 day"),
        ("U hoort binnen een week van ons.", "1 week"),
        ("Responderemos em até 2 dias.", "2 day"),
        ("It will be there by Friday.", "friday"),
        ("Sie hören bis morgen von uns.", "morgen"),
    ],
)
def test_a_time_by_which_is_found_in_one_form(sentence: str, form: str) -> None:
    assert form in [known for _, known in deadlines_in(sentence)]

"""The demo shop's support desk: questions that follow from what became of orders, and the known answers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from include.sources.demo.catalogue import Catalogue
from include.sources.demo.customers import Customers
from include.sources.demo.orders import CODE, CUSTOMER, DELIVERED, ORDERED, PROMISED, order_ids
from include.sources.demo.rows import NONE, Integers, ids, picks, rows
from include.sources.demo.shop import DAY_SECONDS, Shop

# Rows of `Memory.tickets`: number is day * DAY_TICKETS + number on the day; wording is a place in WORDINGS.
FIELDS = ("number", "customer", "order", "product", "wording", "opened_at", "closed_at")
NUMBER, TICKET_CUSTOMER, ORDER, PRODUCT, WORDING, OPENED, CLOSED = range(len(FIELDS))
DAY_TICKETS = 1_000_000

LATE_ASKS, RETURN_ASKS, DEFECT_ASKS, PAYMENT_ASKS, OTHER_ASKS = 0.3, 0.02, 0.02, 0.01, 0.0005
INTENTS = ("delivery", "return", "defect", "payment", "product", "account")
ASKED: tuple[tuple[tuple[str, str], ...], ...] = (  # subject and text, by intent
    (
        ("Where is my order?", "My parcel should have been here by now. Can you tell me where it is?"),
        ("Still waiting", "The promised day has passed and nothing has arrived. When will it come?"),
        ("Delivery late", "Tracking has not moved for days. Please look into it."),
    ),
    (
        ("How do I return this?", "I would like to send back what I ordered. Where do I find the label?"),
        ("Return", "It is not what I expected. Can I still return it and who pays the postage?"),
        ("Exchange", "Can I exchange it for another size or colour?"),
    ),
    (
        ("It is broken", "It arrived damaged. I would like a replacement, please."),
        ("Stopped working", "After two days it does not work any more. What can you do?"),
        ("A part is missing", "The box was opened and one part is missing. Please send it."),
    ),
    (
        ("Charged twice", "My card shows the amount twice. Please refund one of them."),
        ("Invoice", "I need an invoice with my company's name on it."),
        ("Payment failed", "The payment page showed an error. Was my order placed?"),
    ),
    (
        ("Question about a product", "Is this suitable for beginners, and what else do I need with it?"),
        ("Back in stock?", "Do you know when this will be available again?"),
        ("Measurements", "Could you tell me the exact size and weight?"),
    ),
    (
        ("Cannot log in", "I forgot my password and the reset mail does not come."),
        ("Change of address", "I have moved. How do I change my address?"),
        ("Delete my account", "Please delete my account and all my data."),
    ),
)
WORDINGS = tuple((intent, *asked) for intent, wordings in zip(INTENTS, ASKED, strict=True) for asked in wordings)
ANSWERS = (
    (
        "delivery",
        "Where is my order?",
        "You find the tracking link in the mail we sent when the parcel left us. Most parcels arrive within five days.",
    ),
    (
        "delivery",
        "My parcel is late. What can I do?",
        "Write to us with your order number. After ten days without news we send it again or refund you.",
    ),
    (
        "return",
        "How do I return something?",
        "Within 30 days, free of charge: print the label in your account and hand the parcel in at any post office.",
    ),
    (
        "return",
        "Can I exchange a size or colour?",
        "Return the piece and order the other one; we refund you as soon as the parcel is back.",
    ),
    (
        "defect",
        "It arrived damaged or stopped working.",
        "Send us a picture. We replace it or refund you, and you need not send it back below 20 euros.",
    ),
    ("defect", "A part is missing.", "Tell us which one and we send it the same day."),
    ("payment", "I was charged twice.", "One of the two is a reservation that your bank releases within three days. If not, write to us."),
    ("payment", "Where do I get an invoice?", "In your account, under Orders. You can add your company's name there."),
    ("product", "When will it be available again?", "Press 'Tell me' on its page and we mail you the moment it is back."),
    ("account", "I forgot my password.", "Press 'Forgotten' beside the login. Look into the spam folder if the mail does not come."),
    (
        "account",
        "How do I delete my account?",
        "In your account under Privacy. Your data is gone within a day, invoices after the legal period.",
    ),
)


def open_tickets(shop: Shop, day: int, fate: Integers, people: Customers, goods: Catalogue) -> Integers:
    """(FIELDS, n) the tickets opened on a day.

    Args:
        fate: (fields of orders, m) orders on their way, those of the day included.
    """
    rng = shop.rng("tickets", day)
    begin, end = shop.midnight(day), shop.midnight(day + 1)
    delivered = (fate[DELIVERED] >= begin) & (fate[DELIVERED] < end)
    reasons = (
        ((fate[PROMISED] == begin) & (fate[DELIVERED] >= end), LATE_ASKS),
        (delivered, RETURN_ASKS),
        (delivered, DEFECT_ASKS),
        (fate[ORDERED] >= begin, PAYMENT_ASKS),
    )
    chance = rng.random((len(reasons), fate.shape[1]))
    intent, place = np.nonzero(np.stack([why & (chance[row] < share) for row, (why, share) in enumerate(reasons)]))
    others = np.flatnonzero(rng.random(len(people)) < OTHER_ASKS)
    other_intent = 4 + (rng.random(len(others)) < 0.4).astype(np.int64)
    product = (rng.random(len(others)) * len(goods)).astype(np.int64)
    intent = np.concatenate([intent, other_intent])
    size = len(intent)
    tickets = np.full((len(FIELDS), size), NONE)
    tickets[NUMBER] = day * DAY_TICKETS + np.arange(size)
    tickets[TICKET_CUSTOMER] = np.concatenate([fate[CUSTOMER][place], others])
    tickets[ORDER, : len(place)] = fate[CODE][place]
    tickets[PRODUCT, len(place) :] = np.where(other_intent == 4, product, NONE)
    tickets[WORDING] = intent * 3 + (rng.random(size) * 3).astype(np.int64)
    # A question about a delivery or an order of this day comes after it, within the day.
    first = np.zeros(size, dtype=np.int64)
    first[: len(place)] = np.where(intent[: len(place)] == 0, begin, np.maximum(fate[ORDERED], fate[DELIVERED] * delivered)[place])
    first = np.maximum(first, begin)
    tickets[OPENED] = first + (rng.random(size) * (end - first)).astype(np.int64)
    tickets[CLOSED] = tickets[OPENED] + 1800 + (DAY_SECONDS * rng.lognormal(-0.3, 0.8, size)).astype(np.int64)
    return tickets


def ticket_rows(shop: Shop, day: int, tickets: Integers) -> tuple[pa.Table, Integers]:
    """Rows for the tickets opened or closed on a day, and (FIELDS, m) those still open after it.

    Args:
        tickets: (FIELDS, n) the open tickets, those opened on the day included.
    """
    begin, end = shop.midnight(day), shop.midnight(day + 1)
    closed = tickets[CLOSED] < end
    news = tickets[:, closed | (tickets[OPENED] >= begin)]
    closed_at = np.where(news[CLOSED] < end, news[CLOSED], NONE)
    days = [f"T{shop.date(number):%Y%m%d}-" for number in range(day + 1)]
    table = rows(
        "tickets",
        {
            "ticket_id": pa.compute.binary_join_element_wise(
                picks(days, news[NUMBER] // DAY_TICKETS), ids("", news[NUMBER] % DAY_TICKETS, 4), ""
            ),
            "customer_id": ids("C", news[TICKET_CUSTOMER]),
            "order_id": order_ids(shop, news[ORDER]),
            "product_id": ids("P", news[PRODUCT]),
            "subject": picks([subject for _, subject, _ in WORDINGS], news[WORDING]),
            "text": picks([text for _, _, text in WORDINGS], news[WORDING]),
            "intent": picks([intent for intent, _, _ in WORDINGS], news[WORDING]),
            "opened_at": news[OPENED],
            "closed_at": closed_at,
            "updated_at": np.maximum(news[OPENED], closed_at),
        },
    )
    return table, tickets[:, ~closed]


def answer_rows(shop: Shop, day: int) -> pa.Table:
    """The known answers, all written on the first day."""
    answers = ANSWERS if day == 0 else ()
    size = len(answers)
    return rows(
        "answers",
        {
            "answer_id": ids("K", np.arange(size), 3),
            "question": [question for _, question, _ in answers],
            "answer": [answer for _, _, answer in answers],
            "intent": [intent for intent, _, _ in answers],
            "language": ["en"] * size,
            "updated_at": np.full(size, shop.midnight(0)),
        },
    )

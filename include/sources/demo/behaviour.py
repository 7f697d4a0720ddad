"""What the demo shop's visitors do on one day: sessions of searches, views, carts, clicks, and the carts they order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.sources.demo.campaigns import active_campaigns
from include.sources.demo.catalogue import CATEGORIES, Catalogue, Choices
from include.sources.demo.customers import Customers, Floats
from include.sources.demo.memory import Memory
from include.sources.demo.rows import NONE, Integers, ids, picks, rows
from include.sources.demo.shop import DAY_SECONDS, Shop

EVENT_TYPES = (
    "search",
    "view",
    "cart",
    "wishlist",
    "recommendation_impression",
    "recommendation_click",
    "ad_impression",
    "ad_click",
    "not_interested",
)
SEARCH, VIEW, CART, WISHLIST, IMPRESSION, CLICK, AD_IMPRESSION, AD_CLICK, NOT_INTERESTED = range(len(EVENT_TYPES))

UNKNOWN_VISITORS = 0.05  # share of sessions without a login: no customer id, no order
BROWSED = 1.7  # products looked at in a session, beyond the first
STAYS_IN_CATEGORY = 0.7  # views in the category the session began with
SEARCHES, WISHES = 0.3, 0.03
LISTS_SHOWN, LIST_POSITIONS = 0.3, 5
LIST_CLICKS = 0.5  # a click on position 1, as a share of the probability of putting the product into the cart
LIST_REMOVALS = 0.004  # removal of a product shown, as a share of the probability of not putting it into the cart
ADS_SHOWN, AD_CLICKS, AD_CARTS = 0.25, 0.05, 0.1
ACCESSORY_DAYS, ACCESSORY_LOOKS, ACCESSORY_CARTS = 21, 0.5, 0.45
REPEAT_TRIES, REPEAT_CARTS = 0.4, 0.7
SIGHT_SECONDS = 45.0  # mean time between two products of a session


@dataclass(frozen=True)
class Orders:
    """The carts ordered on one day, lines sorted by order.

    Attributes:
        customer, ordered_at, campaign: (n,) of each order; campaign is NONE for most.
        line_order: (m,) order of each line.
        product, pieces, cents: (m,) of each line.
    """

    customer: Integers
    ordered_at: Integers
    campaign: Integers
    line_order: Integers
    product: Integers
    pieces: Integers
    cents: Integers


@dataclass(frozen=True)
class _Looks:
    """Products looked at: in which session, how likely they go into the cart, what led there."""

    session: Integers
    product: Integers
    cart_rate: Floats
    kind: Integers  # the event that led here (CLICK, AD_CLICK) or VIEW
    detail: Integers  # position of the click, campaign of the advertisement

    def take(self, chosen: NDArray[Any]) -> _Looks:
        return _Looks(self.session[chosen], self.product[chosen], self.cart_rate[chosen], self.kind[chosen], self.detail[chosen])


def behave(shop: Shop, day: int, people: Customers, goods: Catalogue, memory: Memory) -> tuple[pa.Table, Orders]:
    """One day's event rows, in the order they happened, and its orders. Updates nothing."""
    rng = shop.rng("behaviour", day)
    choices = goods.choices(day)
    visits = rng.poisson(people.visits_on(day))
    if day == 0:
        visits[0] = max(visits[0], 1)  # a shop nobody ever visited is no shop
    due = memory.due_repeats(day)
    due = due[rng.random(len(due)) < REPEAT_TRIES]
    visits[memory.repeat_customer[due]] = np.maximum(visits[memory.repeat_customer[due]], 1)
    customer = np.repeat(np.arange(len(people)), visits)
    sessions = len(customer)
    first_session = np.concatenate([[0], np.cumsum(visits)])
    unknown = rng.random(sessions) < UNKNOWN_VISITORS
    unknown[first_session[memory.repeat_customer[due]]] = False

    shares = people.category_shares(customer, day, choices.live)
    running = np.cumsum(shares, axis=1)
    intent = _draw_categories(running, rng)
    impressions = _impressions(people, choices, customer, running, rng)
    adverts = _adverts(goods, people, customer, day, rng)
    looks = _join(
        _browse(people, goods, choices, customer, running, intent, rng),
        _clicks(goods, impressions, rng),
        _advert_clicks(adverts, rng),
        _accessories(goods, memory, customer, day, rng),
        _Looks(
            first_session[memory.repeat_customer[due]],
            memory.repeat_product[due],
            np.full(len(due), REPEAT_CARTS),
            np.full(len(due), VIEW),
            np.full(len(due), NONE),
        ),
    )

    owned = memory.owns(customer[looks.session], looks.product)
    shown = goods.shown(day)[looks.product] & ~(owned & (rng.random(len(owned)) < 0.6))  # what one owns, one looks at less
    looks = looks.take(shown)
    slot = np.lexsort((rng.random(len(looks.session)), looks.session))
    looks = looks.take(slot)
    buyable = goods.in_stock(day)[looks.product] & ~owned[shown][slot] & ~unknown[looks.session]
    carted = (rng.random(len(buyable)) < looks.cart_rate) & buyable
    wished = (rng.random(len(buyable)) < WISHES + 0.1 * looks.cart_rate) & ~carted & ~unknown[looks.session]

    began, seen_at, ended = _times(shop, day, people, customer, looks.session, rng)
    orders = _orders(people, goods, customer, looks, carted, ended, day, rng)
    clicked, advertised = looks.kind == CLICK, looks.kind == AD_CLICK
    searched = np.flatnonzero(rng.random(sessions) < SEARCHES)
    happened = np.concatenate(
        [
            _happened(SEARCH, searched, NONE, began[searched]),
            _happened(IMPRESSION, impressions[0], impressions[1], began[impressions[0]] + 2, position=impressions[2]),
            _happened(NOT_INTERESTED, *_removals(shop, day, goods, impressions, unknown, began)),
            _happened(AD_IMPRESSION, adverts[0], adverts[1], began[adverts[0]] + 3, campaign=adverts[2]),
            _happened(CLICK, looks.session[clicked], looks.product[clicked], seen_at[clicked] - 1, position=looks.detail[clicked]),
            _happened(
                AD_CLICK, looks.session[advertised], looks.product[advertised], seen_at[advertised] - 1, campaign=looks.detail[advertised]
            ),
            _happened(VIEW, looks.session, looks.product, seen_at),
            _happened(CART, looks.session[carted], looks.product[carted], seen_at[carted] + 8),
            _happened(WISHLIST, looks.session[wished], looks.product[wished], seen_at[wished] + 6),
        ],
        axis=1,
    )
    kind, session, product, at, position, campaign = happened[:, np.lexsort((happened[0], happened[1], happened[3]))]
    prefix = shop.date(day).strftime("%Y%m%d-")
    events = rows(
        "events",
        {
            "event_id": ids(f"E{prefix}", np.arange(len(kind))),
            "event_type": picks(EVENT_TYPES, kind),
            "occurred_at": np.minimum(at, shop.midnight(day + 1) - 1),
            "customer_id": ids("C", np.where(unknown[session], NONE, customer[session])),
            "session_id": ids(f"S{prefix}", session),
            "product_id": ids("P", product),
            "query": _queries(intent, kind, session, rng),
            "position": pa.array(position, pa.int32(), mask=position == NONE),
            "campaign_id": ids("A", campaign, 4),
        },
    )
    return events, orders


def _happened(
    kind: int, session: Integers, product: Integers | int, at: Integers, position: Integers | int = NONE, campaign: Integers | int = NONE
) -> Integers:
    """(6, n) events of one kind."""
    return np.stack(np.broadcast_arrays(np.int64(kind), session, product, at, position, campaign))


def _draw_categories(running: Floats, rng: np.random.Generator) -> Integers:
    """(n,) a category each, given (n, K) running sums of its probabilities."""
    drawn = (rng.random(len(running))[:, None] > running).sum(axis=1)
    return np.minimum(drawn, running.shape[1] - 1)


def _browse(
    people: Customers, goods: Catalogue, choices: Choices, customer: Integers, running: Floats, intent: Integers, rng: np.random.Generator
) -> _Looks:
    session = np.repeat(np.arange(len(customer)), 1 + rng.poisson(BROWSED, len(customer)))
    stays = rng.random(len(session)) < STAYS_IN_CATEGORY
    category = np.where(stays, intent[session], _draw_categories(running[session], rng))
    taste = people.draw_tastes(customer[session], rng)
    product = choices.draw(taste, category, rng.random(len(session)))
    return _Looks(session, product, goods.cart_rate[taste, product], np.full(len(session), VIEW), np.full(len(session), NONE))


def _impressions(
    people: Customers, choices: Choices, customer: Integers, running: Floats, rng: np.random.Generator
) -> tuple[Integers, Integers, Integers, Integers]:
    """Session, product, position and taste of every recommendation shown: the shop has a fair recommender already."""
    session = np.repeat(np.flatnonzero(rng.random(len(customer)) < LISTS_SHOWN), LIST_POSITIONS)
    position = np.tile(np.arange(1, LIST_POSITIONS + 1), len(session) // LIST_POSITIONS)
    taste = people.draw_tastes(customer[session], rng)
    product = choices.draw(taste, _draw_categories(running[session], rng), rng.random(len(session)))
    return session, product, position, taste


def _clicks(goods: Catalogue, impressions: tuple[Integers, Integers, Integers, Integers], rng: np.random.Generator) -> _Looks:
    session, product, position, taste = impressions
    cart_rate = goods.cart_rate[taste, product]
    clicked = rng.random(len(session)) < LIST_CLICKS * cart_rate / np.sqrt(position)
    return _Looks(session[clicked], product[clicked], cart_rate[clicked], np.full(clicked.sum(), CLICK), position[clicked])


def _removals(
    shop: Shop,
    day: int,
    goods: Catalogue,
    impressions: tuple[Integers, Integers, Integers, Integers],
    unknown: NDArray[np.bool_],
    began: Integers,
) -> tuple[Integers, Integers, Integers, Integers]:
    """Session, product, time and position of the recommendations that customers took off their lists."""
    session, product, position, taste = impressions
    chance = shop.rng("removals", day).random(len(session))
    removed = (chance < LIST_REMOVALS * (1 - goods.cart_rate[taste, product])) & ~unknown[session]
    return session[removed], product[removed], began[session[removed]] + 4, position[removed]


def _adverts(
    goods: Catalogue, people: Customers, customer: Integers, day: int, rng: np.random.Generator
) -> tuple[Integers, Integers, Integers]:
    """Session, product and campaign of every advertisement shown, to those who agreed to advertising."""
    running = active_campaigns(goods, day)
    chance = rng.random(len(customer))
    which = rng.random(len(customer))
    if not len(running.number):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    session = np.flatnonzero((chance < ADS_SHOWN) & people.takes_advertising[customer])
    shown = (which[session] * len(running.number)).astype(np.int64)
    return session, running.product[shown], running.number[shown]


def _advert_clicks(adverts: tuple[Integers, Integers, Integers], rng: np.random.Generator) -> _Looks:
    session, product, campaign = adverts
    clicked = rng.random(len(session)) < AD_CLICKS
    size = int(clicked.sum())
    return _Looks(session[clicked], product[clicked], np.full(size, AD_CARTS), np.full(size, AD_CLICK), campaign[clicked])


def _accessories(goods: Catalogue, memory: Memory, customer: Integers, day: int, rng: np.random.Generator) -> _Looks:
    """Looks at what goes with the main product bought lately."""
    chance, which = rng.random((2, len(customer)))
    recent = (memory.main_product[customer] != NONE) & (day - memory.main_day[customer] <= ACCESSORY_DAYS)
    session = np.flatnonzero(recent & (chance < ACCESSORY_LOOKS))
    product = goods.accessories[memory.main_product[customer[session]], (which[session] * 2).astype(np.int64)]
    size = len(session)
    return _Looks(session, product, np.full(size, ACCESSORY_CARTS), np.full(size, VIEW), np.full(size, NONE))


def _join(*parts: _Looks) -> _Looks:
    return _Looks(
        np.concatenate([part.session for part in parts]),
        np.concatenate([part.product for part in parts]),
        np.concatenate([part.cart_rate for part in parts]),
        np.concatenate([part.kind for part in parts]),
        np.concatenate([part.detail for part in parts]),
    )


def _times(
    shop: Shop, day: int, people: Customers, customer: Integers, session: Integers, rng: np.random.Generator
) -> tuple[Integers, Integers, Integers]:
    """(S,) when each session began, (n,) when each product was looked at, (S,) when each session ended; seconds since 1970."""
    gaps = np.maximum(10, rng.exponential(SIGHT_SECONDS, len(session))).astype(np.int64)
    running = np.cumsum(gaps)
    starts = np.searchsorted(session, np.arange(len(customer)))
    before = np.concatenate([[0], running])[starts]
    spent = np.concatenate([[0], running])[np.searchsorted(session, np.arange(len(customer)), side="right")] - before
    wanted = (people.hour[customer] + rng.normal(0, 1.5, len(customer))) % 24 * 3600
    began = shop.midnight(day) + np.minimum(wanted.astype(np.int64), DAY_SECONDS - 200 - np.minimum(spent, DAY_SECONDS - 200))
    seen_at = began[session] + 5 + running - before[session]
    return began, seen_at, began + spent + 60


def _orders(
    people: Customers,
    goods: Catalogue,
    customer: Integers,
    looks: _Looks,
    carted: NDArray[np.bool_],
    ended: Integers,
    day: int,
    rng: np.random.Generator,
) -> Orders:
    """The filled carts that are ordered; of a product carted twice in a session, one line."""
    buys = rng.random(len(customer)) < people.buys[customer]
    line = np.flatnonzero(carted & buys[looks.session])
    _, once = np.unique(customer[looks.session[line]] << 32 | looks.product[line], return_index=True)  # nor twice on one day
    line = line[np.sort(once)]
    session, line_order = np.unique(looks.session[line], return_inverse=True)
    product = looks.product[line]
    campaign = np.full(len(session), NONE)
    advertised = looks.kind[line] == AD_CLICK
    campaign[line_order[advertised]] = looks.detail[line][advertised]
    pieces = 1 + np.where(goods.repeat_days[product] > 0, rng.poisson(0.5, len(product)), rng.random(len(product)) < 0.02).astype(np.int64)
    return Orders(customer[session], ended[session], campaign, line_order, product, pieces, goods.cents_on(day)[product])


def _queries(intent: Integers, kind: Integers, session: Integers, rng: np.random.Generator) -> pa.Array:
    """(n,) the words searched for, missing for all other events: what the session is about."""
    words = [noun for category in CATEGORIES for noun in (category.nouns * 4)[:4]]
    noun = intent[session] * 4 + (rng.random(len(kind)) * 4).astype(np.int64)
    return picks(words, np.where(kind == SEARCH, noun, NONE))

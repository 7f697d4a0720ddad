"""The demo shop's products: what they are, whom they would please, and what shoppers choose among them day by day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from include.sources.demo.rows import NONE, Integers
from include.sources.demo.shop import Shop

Floats = NDArray[np.float64]


class Category(NamedTuple):
    """A category: its path, what its products are called, typical price, days until it is bought again, its accessories' category."""

    path: str
    nouns: tuple[str, ...]
    price: float
    repeat_days: float = 0
    accessories: int = NONE
    detail: str = "Made to be used every day."


# The first ones lead to each other, so that a small shop has accessories and repeat purchases too.
CATEGORIES = (
    Category(
        "Kitchen > Coffee machines",
        ("espresso machine", "filter coffee machine", "moka pot"),
        140,
        0,
        2,
        "Heats up quickly and is easy to descale.",
    ),
    Category("Groceries > Coffee", ("coffee beans", "ground coffee", "espresso roast"), 12, 38, NONE, "Roasted in small batches."),
    Category("Kitchen > Coffee accessories", ("milk frother", "coffee grinder", "knock box"), 28, 0, NONE, "Fits most machines."),
    Category("Pets > Dog food", ("dry dog food", "wet dog food", "puppy food"), 26, 32, NONE, "With meat as the first ingredient."),
    Category("Pets > Dog accessories", ("dog lead", "dog bed", "chew toy"), 22, 0, NONE, "Washable and hard to chew through."),
    Category(
        "Music > Guitars", ("acoustic guitar", "electric guitar", "ukulele"), 260, 0, 6, "Set up and tuned before it leaves the house."
    ),
    Category("Music > Guitar accessories", ("guitar strap", "clip-on tuner", "capo", "guitar stand"), 16, 0, NONE, "Fits most guitars."),
    Category("Photo > Cameras", ("compact camera", "mirrorless camera", "instant camera"), 420, 0, 8, "Sharp pictures in poor light."),
    Category(
        "Photo > Camera accessories", ("camera bag", "tripod", "memory card", "lens cloth"), 30, 0, NONE, "Light enough to be taken along."
    ),
    Category("Outdoor > Tents", ("two-person tent", "family tent", "tarp"), 160, 0, 10, "Pitched in minutes and dry in heavy rain."),
    Category("Outdoor > Camping accessories", ("camping lamp", "sleeping mat", "camping stove"), 35, 0, NONE, "Packs small."),
    Category("Garden > Tools", ("secateurs", "garden fork", "hand trowel"), 24, 0, NONE, "Keeps its edge for years."),
    Category("Garden > Seeds", ("tomato seeds", "wildflower mix", "herb seeds"), 5, 48, NONE, "Germinates reliably."),
    Category("Beauty > Skin care", ("face cream", "cleansing gel", "hand cream"), 18, 51, NONE, "Free of perfume."),
    Category("Beauty > Hair care", ("shampoo", "conditioner", "hair oil"), 13, 45, NONE, "Gentle to dry hair."),
    Category("Fashion > Shoes", ("running shoes", "ankle boots", "sneakers"), 85, 0, 16, "True to size."),
    Category("Fashion > Socks and laces", ("running socks", "wool socks", "shoe laces"), 12, 0, NONE, "Does not slip."),
    Category("Fashion > Jackets", ("rain jacket", "down jacket", "fleece jacket"), 120, 0, NONE, "Warm without being heavy."),
    Category("Home > Lamps", ("desk lamp", "floor lamp", "bedside lamp"), 55, 0, NONE, "Dimmable, with a warm light."),
    Category("Home > Bedding", ("duvet cover", "pillow", "linen sheet"), 48, 0, NONE, "Soft from the first wash."),
    Category("Home > Storage", ("storage basket", "wall shelf", "drawer organiser"), 32, 0, NONE, "Assembled without tools."),
    Category("Office > Notebooks and pens", ("notebook", "fountain pen", "gel pen set"), 11, 64, NONE, "A pleasure to write with."),
    Category("Toys > Building sets", ("building blocks", "marble run", "train set"), 45, 0, NONE, "Grows with the child."),
    Category("Sport > Fitness", ("yoga mat", "kettlebell", "resistance bands"), 30, 0, NONE, "Does not slip when hands get wet."),
)

STYLES = ("minimal", "rustic", "sporty", "playful", "classic")
TIERS = ("Essential", "Select", "Premium")
TIER_PRICES = np.array([0.6, 1.0, 1.9])
TASTES = len(STYLES) * len(TIERS)  # a taste is a style and a price tier: taste = style * 3 + tier
PRODUCTS_A_CATEGORY = 8  # small shops lead fewer categories, so that there is something to choose from in each
FIRST_SHARE = 0.85
NOVELTY_DAYS = 14
SALE_PERCENT = 15
BAD_QUALITY = -2.2


@dataclass(frozen=True)
class Catalogue:
    """Products that have arrived by some day, with what a shop cannot know of them.

    Attributes:
        arrived: (P,) day the product came into the catalogue.
        category: (P,) place in CATEGORIES.
        style, tier: (P,) whom it is made for: place in STYLES and in TIERS.
        quality: (P,) how good it is in use, about N(0, 1); shows in reviews, and a little in choices.
        drop_day: (P,) day from which its quality is BAD_QUALITY; NONE for nearly all.
        popularity: (P,) how well known it is, as a log-odds of being looked at.
        utility: (TASTES, P) how well it fits a taste, as a log-odds of being looked at, popularity included.
        cart_rate: (TASTES, P) probability that one who looks at it for that taste puts it into the cart.
        repeat_days: (P,) typical days until it is bought again; 0 for what one buys once.
        accessories: (P, 2) what buyers of it look for next; NONE where nothing.
        cents: (P,) list price.
        hidden: (P,) whether it is kept from shoppers.
    """

    shop: Shop
    arrived: Integers
    category: Integers
    style: Integers
    tier: Integers
    quality: Floats
    drop_day: Integers
    popularity: Floats
    utility: Floats
    cart_rate: Floats
    repeat_days: Floats
    accessories: Integers
    cents: Integers
    hidden: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.arrived)

    def up_to(self, day: int) -> Catalogue:
        """Those that have arrived by a day."""
        size = int(np.searchsorted(self.arrived, day, side="right"))
        first = {name: getattr(self, name)[:size] for name in self.__dataclass_fields__ if name not in ("shop", "utility", "cart_rate")}
        return Catalogue(shop=self.shop, utility=self.utility[:, :size], cart_rate=self.cart_rate[:, :size], **first)

    @property
    def categories(self) -> int:
        """How many of CATEGORIES the shop leads."""
        return categories_of(self.shop)

    def quality_on(self, day: int) -> Floats:
        """(P,) quality of pieces sold on a day."""
        return np.where((self.drop_day != NONE) & (self.drop_day <= day), BAD_QUALITY, self.quality)

    def in_stock(self, day: int) -> NDArray[np.bool_]:
        """(P,) whether it can be bought on a day; stock is decided week by week."""
        return self.shop.rng("stock", day // 7).random(len(self)) > 0.04

    def on_sale(self, day: int) -> NDArray[np.bool_]:
        """(P,) whether it is sold at a lower price on a day; decided week by week."""
        return self.shop.rng("sale", day // 7).random(len(self)) < 0.06

    def cents_on(self, day: int) -> Integers:
        """(P,) price on a day."""
        return np.where(self.on_sale(day), self.cents * (100 - SALE_PERCENT) // 100, self.cents)

    def shown(self, day: int) -> NDArray[np.bool_]:
        """(P,) whether shoppers can see it on a day."""
        return (self.arrived <= day) & ~self.hidden

    def choices(self, day: int) -> Choices:
        """What shoppers choose from on a day: a softmax within each category, for every taste."""
        trend = 0.5 * np.sin(2 * np.pi * (day / self.shop.rng("product.trend").uniform(40, 160, len(self)) + np.arange(len(self)) * 0.37))
        novelty = 0.8 * ((self.arrived > 0) & (day - self.arrived < NOVELTY_DAYS))
        weights = np.where(self.shown(day), np.exp(self.utility + trend + novelty), 0.0)
        return Choices.of(weights, self.category, self.categories)


@dataclass(frozen=True)
class Choices:
    """One day's choice probabilities.

    Attributes:
        order: (P,) products sorted by category.
        cumulative: (TASTES * K * products,) flat: block `taste * K + category` climbs from that number to the next.
        share: (TASTES, P) probability of the product given taste and category.
        live: (K,) categories with a product to show.
    """

    order: Integers
    cumulative: Floats
    share: Floats
    live: NDArray[np.bool_]

    @classmethod
    def of(cls, weights: Floats, category: Integers, categories: int) -> Choices:
        order = np.argsort(category, kind="stable")
        bounds = np.searchsorted(category[order], np.arange(categories + 1))
        running = np.concatenate([np.zeros((TASTES, 1)), np.cumsum(weights[:, order], axis=1)], axis=1)
        mass = np.maximum(running[:, bounds[1:]] - running[:, bounds[:-1]], 1e-300)
        block = category[order]
        within = np.minimum((running[:, 1:] - running[:, bounds[:-1]][:, block]) / mass[:, block], 1.0)
        cumulative = (within + block + np.arange(TASTES)[:, None] * categories).ravel()
        live = np.bincount(category, weights=weights[0], minlength=categories)[:categories] > 0
        return cls(order, cumulative, weights / mass[:, category], live)

    def draw(self, taste: Integers, category: Integers, chance: Floats) -> Integers:
        """(n,) products chosen, given taste and category and a uniform number each."""
        block = taste * len(self.live) + category
        place = np.searchsorted(self.cumulative, block + np.minimum(chance, 1 - 1e-9), side="right")
        return self.order[np.minimum(place, len(self.cumulative) - 1) % len(self.order)]


def categories_of(shop: Shop) -> int:
    return int(np.clip(shop.products // PRODUCTS_A_CATEGORY, min(3, shop.products), len(CATEGORIES)))


def catalogue(shop: Shop, last_day: int) -> Catalogue:
    """All products that have arrived by `last_day`."""
    arrived = shop.arrivals(shop.products, FIRST_SHARE, last_day)
    number = np.arange(len(arrived))
    categories = categories_of(shop)
    category = np.where(number < categories, number, (shop.rng("product.category").random(len(number)) * categories).astype(np.int64))
    style = (shop.rng("product.style").random(len(number)) * len(STYLES)).astype(np.int64)
    tier = (shop.rng("product.tier").random(len(number)) * len(TIERS)).astype(np.int64)
    quality = shop.rng("product.quality").standard_normal(len(number))
    popularity = 1.0 * shop.rng("product.popularity").standard_normal(len(number)) + 0.25 * quality
    hidden = (shop.rng("product.hidden").random(len(number)) < 0.02) & (number >= 3)

    fits_style = np.repeat(style[None, :] == np.arange(len(STYLES))[:, None], len(TIERS), axis=0)
    tier_distance = np.abs(np.tile(np.arange(len(TIERS)), len(STYLES))[:, None] - tier[None, :])
    fit = 1.4 * fits_style - 0.7 * tier_distance
    cart_rate = np.clip(0.17 * np.exp(0.35 * (fit - 1) + 0.3 * quality), 0.02, 0.7)

    typical = np.array([c.repeat_days for c in CATEGORIES])[category]
    cents = (
        np.array([c.price for c in CATEGORIES])[category]
        * TIER_PRICES[tier]
        * np.exp(0.25 * shop.rng("product.price").standard_normal(len(number)))
    )
    return Catalogue(
        shop=shop,
        arrived=arrived,
        category=category,
        style=style,
        tier=tier,
        quality=quality,
        drop_day=_drop_days(shop, arrived, category, fit + popularity, cart_rate, hidden),
        popularity=popularity,
        utility=fit + popularity,
        cart_rate=cart_rate,
        repeat_days=typical * np.exp(0.25 * shop.rng("product.repeat").standard_normal(len(number))),
        accessories=_accessories(shop, arrived, category, hidden),
        cents=np.maximum(1, np.round(cents)).astype(np.int64) * 100 - 1,
        hidden=hidden,
    )


def category_popularity(shop: Shop) -> Floats:
    """(K,) how much some categories please more people than others, as log-odds."""
    return 0.5 * shop.rng("category.popularity").standard_normal(categories_of(shop))


def _drop_days(
    shop: Shop, arrived: Integers, category: Integers, utility: Floats, cart_rate: Floats, hidden: NDArray[np.bool_]
) -> Integers:
    """(P,) two thirds into the first history, the best sellers of the first day (one product in 80) turn bad."""
    days = np.full(len(arrived), NONE)
    offered = (arrived == 0) & ~hidden
    choices = Choices.of(np.where(offered, np.exp(utility), 0.0), category, categories_of(shop))
    sold = (choices.share * cart_rate).mean(axis=0) * np.exp(category_popularity(shop))[category]
    best_sellers = np.argsort(np.where(offered, -sold, np.inf), kind="stable")
    days[best_sellers[: max(1, shop.products // 80)]] = shop.history_days * 2 // 3
    return days


def _accessories(shop: Shop, arrived: Integers, category: Integers, hidden: NDArray[np.bool_]) -> Integers:
    """(P, 2) two products each of the accessories' category, among those there from the first day."""
    chosen = np.full((len(arrived), 2), NONE)
    chance = shop.rng("product.accessories").random((len(arrived), 2))
    for place, kind in enumerate(CATEGORIES):
        offered = np.flatnonzero((category == kind.accessories) & (arrived == 0) & ~hidden)
        mains = np.flatnonzero(category == place)
        if len(offered) and len(mains):
            chosen[mains] = offered[(chance[mains] * len(offered)).astype(np.int64)]
    return chosen

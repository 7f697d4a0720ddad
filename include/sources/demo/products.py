"""The catalogue rows of the demo shop: titles, descriptions and brands that carry a product's style and price tier."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from include.sources.demo.catalogue import CATEGORIES, TIERS, Catalogue
from include.sources.demo.rows import Integers, ids, picks, rows
from include.sources.demo.shop import DAY_SECONDS

# By style, as in STYLES, and by price tier, as in TIERS.
STYLE_WORDS = (
    ("Plain", "Slim", "Nordic", "Quiet"),
    ("Oak", "Rustic", "Farmhouse", "Handmade"),
    ("Pro", "Trail", "Active", "Peak"),
    ("Happy", "Pop", "Rainbow", "Jolly"),
    ("Heritage", "Royal", "Classic", "Vintage"),
)
STYLE_SENTENCES = (
    "A reduced, minimal design without anything superfluous.",
    "Rustic and natural, with traces of the hand that made it.",
    "Sporty and robust, for people who are always on the move.",
    "Playful and colourful, it makes the whole family smile.",
    "A classic, elegant piece as it has been made for generations.",
)
TIER_SENTENCES = (
    "Good value for everyday use.",
    "The solid choice in the middle of our range.",
    "Premium materials and finish, for those who want the best.",
)
COLOURS = ("black", "white", "sand", "forest green", "navy", "red", "copper", "grey", "sky blue", "mustard")
BRAND_HEADS = (
    "Alder",
    "Birch",
    "Castor",
    "Dune",
    "Ember",
    "Fjord",
    "Grove",
    "Harbor",
    "Iris",
    "Juno",
    "Kestrel",
    "Linden",
    "Mistral",
    "North",
    "Orchid",
)
BRAND_TAILS = ("& Co", "Works", "House", "Lab", "Craft", "line", "wood")

MINIMUM_AGE, FOR_ADULTS = 18, 0.03  # the latter: share of products with a minimum age


def product_rows(catalogue: Catalogue, day: int) -> pa.Table:
    """Rows for the products that arrived on a day and for those whose stock or price changed on it."""
    arrives = catalogue.arrived == day
    changes = np.zeros(len(catalogue), dtype=bool)
    if day > 0:
        changes = (catalogue.in_stock(day) != catalogue.in_stock(day - 1)) | (catalogue.on_sale(day) != catalogue.on_sale(day - 1))
    chosen = np.flatnonzero(arrives | (changes & (catalogue.arrived < day)))
    shop, midnight = catalogue.shop, catalogue.shop.midnight(day)
    stock = np.where(catalogue.in_stock(day), 1 + (shop.rng("stock.pieces", day // 7).random(len(catalogue)) * 120).astype(np.int64), 0)
    created = midnight - (day - catalogue.arrived[chosen]) * DAY_SECONDS
    for_adults = shop.rng("product.for_adults").random(len(catalogue))[chosen] < FOR_ADULTS
    text = _Texts(catalogue, chosen)
    return rows(
        "products",
        {
            "product_id": ids("P", chosen),
            "title": text.titles,
            "description": text.descriptions,
            "category": picks([c.path for c in CATEGORIES], catalogue.category[chosen]),
            "brand": text.brands,
            "price": catalogue.cents_on(day)[chosen],
            "currency": picks(("EUR",), np.zeros_like(chosen)),
            "stock": stock[chosen],
            "image_url": text.images,
            "is_repeatable": catalogue.repeat_days[chosen] > 0,
            "is_hidden": catalogue.hidden[chosen],
            "minimum_age": pa.array(np.full(len(chosen), MINIMUM_AGE), pa.int32(), mask=~for_adults),
            "created_at": created,
            "updated_at": np.where(arrives[chosen], created, midnight),
        },
    )


class _Texts:
    """Titles, descriptions, brands and picture addresses of some products, as (n,) arrays of text."""

    def __init__(self, catalogue: Catalogue, chosen: Integers) -> None:
        shop, style, tier, category = catalogue.shop, catalogue.style[chosen], catalogue.tier[chosen], catalogue.category[chosen]
        first, second, third, fourth = (shop.rng("product.text").random((len(catalogue), 4)))[chosen].T
        heads = np.array(BRAND_HEADS, dtype=object)
        tails = np.array(BRAND_TAILS, dtype=object)
        # A brand makes one style in one price tier: its name carries taste.
        brand = (style * len(TIERS) + tier) * 4 + (first * 4).astype(np.int64)
        self.brands = heads[brand % len(heads)] + " " + tails[brand // len(heads) % len(tails)]
        words = np.array(STYLE_WORDS, dtype=object)[style, (second * 4).astype(np.int64)]
        colours = np.array(COLOURS, dtype=object)[(third * len(COLOURS)).astype(np.int64)]
        nouns = np.array([(c.nouns * 12)[:12] for c in CATEGORIES], dtype=object)[category, (fourth * 12).astype(np.int64)]
        model = np.array([str(n) for n in range(100, 1000)], dtype=object)[chosen % 900]
        self.titles = self.brands + " " + words + " " + nouns + " " + model + ", " + colours
        self.descriptions = (
            "The "
            + words
            + " "
            + nouns
            + " in "
            + colours
            + " by "
            + self.brands
            + ". "
            + np.array(STYLE_SENTENCES, dtype=object)[style]
            + " "
            + np.array([c.detail for c in CATEGORIES], dtype=object)[category]
            + " "
            + np.array(TIER_SENTENCES, dtype=object)[tier]
        )
        self.images = ids("https://shop.example.com/pictures/", chosen)

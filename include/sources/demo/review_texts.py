"""How the demo shop's buyers put it: review titles and texts made from the stars, with the noise that real ones have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.sources.demo.catalogue import CATEGORIES
from include.sources.demo.rows import Integers

Words = NDArray[np.object_]

# Probability that a sentence complains, wavers or praises, by stars from 1 to 5.
TONES = np.array([(0.92, 0.05, 0.03), (0.70, 0.20, 0.10), (0.34, 0.36, 0.30), (0.09, 0.16, 0.75), (0.02, 0.05, 0.93)])
MISTAKEN_SHARE = 0.03  # writers who take five stars for the worst, or tell of another product
CHINESE_SHARE, EMOJI_SHARE = 0.012, 0.04
OPENER_SHARE, CLOSER_SHARE = 0.75, 0.45

TITLES = (
    ("Disappointed", "Do not buy", "Broke quickly", "Not as described", "Waste of money", "Very poor", "Sent it back", "Never again"),
    ("It is okay", "Average", "Mixed feelings", "Does the job", "Not bad, not great", "Could be better", "Hm", "So so"),
    ("Love it", "Great quality", "Highly recommended", "Exactly what I wanted", "Very happy", "Excellent", "Super", "A lovely find"),
)
OPENERS = (
    (
        "I regret buying the",
        "Sadly a let-down, the",
        "Faulty from the start, the",
        "I had high hopes for the",
        "By far the worst",
        "Please avoid the",
    ),
    (
        "Nothing special, the",
        "I am not sure about the",
        "Acceptable for the price, the",
        "I expected a bit more from the",
        "So far I can live with the",
    ),
    ("I am really happy with the", "I love the", "Best purchase this year, the", "Perfect in every way, the", "My whole family likes the"),
)
# What sentences speak of: subjects, then what is said of them when complaining, wavering, praising.
ASPECTS = (
    (
        ("The quality", "The workmanship", "The material", "The finish"),
        (
            "is poor",
            "feels cheap",
            "is far worse than in the pictures",
            "fell apart after a week",
            "is a bad joke",
            "did not survive the second day",
        ),
        ("is average", "is acceptable for the price", "could be better", "is what one would expect", "is neither good nor bad"),
        (
            "is excellent",
            "feels solid",
            "is even better than in the pictures",
            "is like new after months",
            "convinced me at once",
            "is beautiful",
        ),
    ),
    (
        ("Delivery", "Shipping", "The parcel"),
        ("took far too long", "came late and damaged", "was a disaster", "arrived crushed"),
        ("took the usual time", "was neither fast nor slow", "came in a box that was a bit too large"),
        ("was very fast", "came a day early", "was quick and well packed", "arrived in perfect shape"),
    ),
    (
        ("The price", "What they charge for it"),
        ("is a rip-off", "is much too high for this", "is money thrown away"),
        ("is about right", "is a little high", "seems fair, no more"),
        ("is a bargain", "is more than fair", "is worth every cent"),
    ),
    (
        ("Handling it", "Using it", "Setting it up"),
        ("is a nightmare", "never worked", "drove me mad", "failed on the first day"),
        ("takes some getting used to", "works most of the time", "is fine once you have read the manual"),
        ("is a pleasure", "could not be easier", "works perfectly", "was done in a minute"),
    ),
    (
        ("The colour", "The look", "The design"),
        ("has nothing to do with the description", "is ugly", "faded at once"),
        ("is a matter of taste", "is slightly different from the picture", "is nothing special"),
        ("is gorgeous", "is exactly as described", "gets compliments from everybody"),
    ),
    (
        ("Customer service", "The support"),
        ("never answered", "was rude", "refused to replace it"),
        ("answered after some days", "tried to help"),
        ("was friendly and quick", "replaced a part without a question", "helped me within the hour"),
    ),
)
CLOSERS = (
    ("Never again.", "I want my money back.", "Save your money.", "One star is too many.", "It goes back tomorrow."),
    ("Three stars from me.", "Maybe I will keep it.", "I would look at others first.", "We will see how it lasts."),
    ("I will buy it again.", "Thank you!", "Clear recommendation.", "I have told all my friends.", "Would give six stars."),
)
LATE = " It also came days later than promised."
EMOJI = (" 😡", " 🤔", " 😍👍")
CHINESE = (
    ("质量太差，用了两天就坏了，不推荐。", "和图片完全不一样，很失望，要求退货。", "客服态度不好，再也不会来了。"),
    ("一般般，对得起这个价格。", "还可以，没有想象中那么好。"),
    ("质量非常好，很喜欢，下次还会买！", "包装很好，物流很快，非常满意。", "颜色很漂亮，家人都喜欢。"),
)


def titles_and_texts(stars: Integers, category: Integers, late: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Words, Words]:
    """(n,) headlines and bodies: an opener that names the thing, one to three sentences on quality, delivery, price and so on, a closer.

    Args:
        stars: (n,) 1 to 5.
        category: (n,) place in CATEGORIES of what is reviewed.
        late: (n,) whether the parcel came late; unhappy writers mention it.
    """
    size = len(stars)
    felt = np.where(rng.random(size) < MISTAKEN_SHARE, rng.integers(1, 6, size), stars)
    tone = _tones(felt, rng)
    noun = _pick(tuple(c.nouns for c in CATEGORIES), category, rng)
    text = np.where(rng.random(size) < OPENER_SHARE, _pick(OPENERS, tone, rng) + " " + noun + ". ", "")
    aspect = rng.integers(len(ASPECTS), size=size)
    text = text + _sentence(aspect, tone, rng)
    for share in (0.5, 0.4):
        aspect = (aspect + rng.integers(1, len(ASPECTS), size)) % len(ASPECTS)
        text = text + np.where(rng.random(size) < share, " " + _sentence(aspect, _tones(felt, rng), rng), "")
    text = text + np.where(late & (felt < 4), LATE, "")
    text = text + np.where(rng.random(size) < CLOSER_SHARE, " " + _pick(CLOSERS, tone, rng), "")
    text = text + np.where(rng.random(size) < EMOJI_SHARE, _pick(tuple((emoji,) for emoji in EMOJI), tone, rng), "")
    text = np.where(rng.random(size) < CHINESE_SHARE, _pick(CHINESE, tone, rng), text)
    return _pick(TITLES, tone, rng), text


def _tones(stars: Integers, rng: np.random.Generator) -> Integers:
    """(n,) 0 to complain, 1 to waver, 2 to praise, drawn by TONES."""
    return (rng.random(len(stars))[:, None] > TONES.cumsum(axis=1)[stars - 1, :2]).sum(axis=1)


def _sentence(aspect: Integers, tone: Integers, rng: np.random.Generator) -> Words:
    subject = _pick(tuple(said[0] for said in ASPECTS), aspect, rng)
    predicate = _pick(tuple(said[1 + place] for said in ASPECTS for place in range(3)), aspect * 3 + tone, rng)
    return subject + " " + predicate + "."


def _pick(words: tuple[tuple[str, ...], ...], row: NDArray[Any], rng: np.random.Generator) -> Words:
    """(n,) one of the words of each one's row."""
    sizes = np.array([len(options) for options in words])
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    flat = np.array([word for options in words for word in options], dtype=object)
    return flat[first[row] + rng.integers(sizes[row])]

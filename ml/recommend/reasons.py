"""Why a product is in a list, in words a shopper understands. Titles are plain text here; whoever shows them escapes them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.recommend.snapshot import EVENT_TYPES, Catalogue

LONGEST_TITLE = 80

# how the sentence begins, by the weightiest thing the customer did with the product it follows from
BECAUSE = {
    "view": "Because you looked at ",
    "cart": "Because you put in your cart: ",
    "wishlist": "Because you wished for ",
    "recommendation_click": "Because you looked at ",
    "purchase": "Because you bought ",
    "review": "Because you reviewed ",
}
# without a title there is its category, and without that only what was done
BECAUSE_UNTITLED = {
    "view": "Because of what you looked at",
    "cart": "Because of what you put in your cart",
    "wishlist": "Because of what you wished for",
    "recommendation_click": "Because of what you looked at",
    "purchase": "Because of what you bought",
    "review": "Because of what you reviewed",
}


class Reasons:
    """Sentences for a catalogue; all strings are looked up by product number, none is made row by row.

    Args:
        catalogue: titles and categories.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        title = pc.utf8_trim_whitespace(pc.replace_substring_regex(catalogue.titles, r"\s+", " "))
        cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(title, 0, LONGEST_TITLE - 1), "…", "")
        title = pc.if_else(pc.greater(pc.utf8_length(title), LONGEST_TITLE), cut, title)
        empty = pa.scalar(None, pa.string())
        self.title = pc.if_else(pc.equal(title, ""), empty, title)
        # of a path of categories the narrowest says most
        category = pc.utf8_trim_whitespace(pc.replace_substring_regex(catalogue.categories, r"^.* > ", ""))
        self.category = pc.if_else(pc.equal(category, ""), empty, category)

    def sentences(self, strategies: pa.Array, products: np.ndarray, because: np.ndarray, events: np.ndarray) -> pa.Array:
        """One sentence a row.

        Args:
            strategies: (r,) names.
            products: (r,) recommended.
            because: (r,) the past product it follows from, -1 where there is none.
            events: (r,) number in EVENT_TYPES of what the customer did with it.
        """
        has_past = pa.array(because >= 0)
        past = pa.array(np.where(because >= 0, because, 0).astype(np.int32), mask=because < 0)
        past_title, past_category = self.title.take(past), self.category.take(past)
        category = self.category.take(pa.array(products.astype(np.int32)))
        event = pa.array(events.astype(np.int32))

        def by_event(words: dict[str, str]) -> pa.Array:
            return pa.array([words[name] for name in EVENT_TYPES]).take(event)

        def say(*words: object) -> pa.Array:
            """Joined words, NULL where one is missing."""
            return pc.binary_join_element_wise(*words, "")

        done = by_event(BECAUSE_UNTITLED)
        because_of = pc.coalesce(say(by_event(BECAUSE), past_title), say(done, " in ", past_category), done)
        again = pc.coalesce(
            say("Time to buy ", past_title, " again?"),
            say("Time to buy again from ", past_category, "?"),
            pa.scalar("Time to buy this again?"),
        )
        in_category = pc.coalesce(say("Popular in ", category), pa.scalar("Popular now"))
        cases = pc.make_struct(
            pc.and_(pc.equal(strategies, "buy_again"), has_past),
            pc.and_(pc.is_in(strategies, pa.array(["collaborative", "content"])), has_past),
            pc.equal(strategies, "popular_in_category"),
            pc.equal(strategies, "segment_popular"),
            pc.equal(strategies, "popular"),
            pc.equal(strategies, "pinned"),
        )
        like_you, now, chosen = pa.scalar("Popular with shoppers like you"), pa.scalar("Popular now"), pa.scalar("Chosen for you")
        return pc.case_when(cases, again, because_of, in_category, like_you, now, pa.scalar("Recommended by the shop"), chosen)

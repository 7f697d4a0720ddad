"""Why a product is in a list, in words for shoppers. Titles are plain text here; a page that shows them must escape them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import EVENT_TYPES

MAX_TITLE_LENGTH = 80

# templates by language and key
SENTENCES: dict[str, dict[str, list[str]]] = yaml.safe_load(Path(__file__).with_name("sentences.yml").read_text(encoding="utf-8"))


class Reasons:
    """Sentences for a catalogue. All strings are looked up by product number; none is built row by row.

    Args:
        catalogue: titles and categories.
        language: a key of SENTENCES.
    """

    def __init__(self, catalogue: Catalogue, language: str) -> None:
        self._templates = SENTENCES[language]
        self._keys = list(self._templates)
        self._because = np.array([self._keys.index(f"because.{event}") for event in EVENT_TYPES])
        title = pc.utf8_trim_whitespace(pc.replace_substring_regex(catalogue.titles, r"\s+", " "))
        cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(title, 0, MAX_TITLE_LENGTH - 1), "…", "")
        title = pc.if_else(pc.greater(pc.utf8_length(title), MAX_TITLE_LENGTH), cut, title)
        empty = pa.scalar(None, pa.string())
        self._title = pc.if_else(pc.equal(title, ""), empty, title)
        # of a path of categories only the narrowest
        category = pc.utf8_trim_whitespace(pc.replace_substring_regex(catalogue.categories, r"^.* > ", ""))
        self._category = pc.if_else(pc.equal(category, ""), empty, category)

    def sentences(self, strategies: pa.Array, products: np.ndarray, because: np.ndarray, events: np.ndarray) -> pa.Array:
        """One sentence a row.

        Args:
            strategies: (r,) names.
            products: (r,) recommended.
            because: (r,) the past product it follows from, -1 where there is none.
            events: (r,) number in EVENT_TYPES of what the customer did with it.
        """
        own = pc.index_in(strategies, pa.array(self._keys)).fill_null(-1).to_numpy(zero_copy_only=False)
        otherwise = np.where(because >= 0, self._because[events], self._keys.index("other"))
        key = np.where(own >= 0, own, otherwise)
        order = np.argsort(key, kind="stable")
        parts = [pa.array([], pa.string())]
        for number in np.unique(key):
            rows = order[np.searchsorted(key[order], number) : np.searchsorted(key[order], number, side="right")]
            parts.append(self._say(self._templates[self._keys[number]], products[rows], because[rows]))
        return pa.concat_arrays(parts).take(pa.array(np.argsort(order, kind="stable")))

    def _say(self, templates: list[str], products: np.ndarray, because: np.ndarray) -> pa.Array:
        product = pa.array(products.astype(np.int32))
        past = pa.array(np.maximum(because, 0).astype(np.int32), mask=because < 0)
        words = {
            "title": self._title.take(product),
            "category": self._category.take(product),
            "past_title": self._title.take(past),
            "past_category": self._category.take(past),
        }
        said = pa.nulls(len(products), pa.string())
        for template in templates:
            pieces = re.split(r"\{(\w+)\}", template)  # text and names of words in turn
            joined = pc.binary_join_element_wise(*(words[piece] if odd % 2 else piece for odd, piece in enumerate(pieces)), "")
            said = pc.coalesce(said, joined)
        return said

"""Aspects: what reviews praise or blame, found without labels from the stars and the words of the shop's own reviews.

A sentence's polarity is learned from the stars of its review: most sentences of a one-star review complain, and the noise of single
sentences averages out over thousands. Two classifiers score together, one on words and pairs of words, one on the encoder's hidden states
after the third of six layers. Later layers are trained to represent what a text is about rather than whether it likes it.

Aspects are terms in noun positions that many reviews use: the frequent features of Hu and Liu ("Mining and summarizing customer reviews",
KDD 2004), with the positions of function words instead of a tagger. Function words are known for English and Portuguese; in other
languages no aspects are found.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from ml.text.encoder.text_encoder import TextEncoder

LAYER = 3
MAX_TOKENS = 64
MAX_SENTENCES = 50  # of one review
WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_END = re.compile(r"(?<=[.!?\u2026])\s+|[\n\u3002\uff01\uff1f]+|\s-\s|;")

# Words before a noun, words after one, and words that are never part of an aspect's name.
BEFORE = frozenset(
    WORD.findall("the this that these those my your his her its our their a an no any o os as um uma meu minha seu sua este esta")
)
AFTER = frozenset(
    WORD.findall("is are was were has have had does do works work looks look sounds sound feels feel é são está estão foi veio")
)
NEVER = (
    BEFORE
    | AFTER
    | frozenset(
        WORD.findall("""
    i me we us you he him she it they them who what which when where why how there here and or but nor so if than then as because while
    of in on at by for with about against between into through during before after above below to from up down out off over under again
    all both each few more most other some such only own same too very can will just don should now be been being am did doing would
    could not don't doesn't didn't isn't wasn't can't won't i'm i've it's that's also even much many one two get got make made use used
    using go going buy bought like really well still every thing things lot bit time way something anything everything everyone anyone
    people year years month months week weeks day days ever never always first last new old good great best better bad nice little
    e de do da dos das em no na nos nas por para com sem que se eu ele ela nós vocês mas ou muito mais já não nem só quando ainda foi ser
    tudo bem bom boa
    """)
    )
)


def sentences_of(text: str) -> list[str]:
    """The sentences of a cleaned text, at most MAX_SENTENCES, none empty."""
    return [part.strip() for part in _END.split(text) if WORD.search(part)][:MAX_SENTENCES]


def words_of(sentence: str) -> list[str]:
    return [word.replace("\u2019", "'") for word in WORD.findall(sentence.lower())]


class SentencePolarity:
    """How positive a sentence is about its subject, learned from the stars of whole reviews.

    Attributes:
        vectorizer: sentences to TF-IDF weights of words and pairs of words.
        by_words: logistic regression on these.
        by_states: logistic regression on (n, d) unit-length means of the encoder's states after layer LAYER.
        scales: standard deviation of each classifier's scores on the training sentences, which brings them to one scale.
    """

    def __init__(self, encoder: str = "", threads: int = 2, layer: int = LAYER) -> None:
        self.encoder_name, self.threads, self.layer = encoder, threads, layer
        self.vectorizer = TfidfVectorizer(
            tokenizer=words_of, token_pattern=None, lowercase=False, ngram_range=(1, 2), sublinear_tf=True, min_df=2
        )

    def fit(self, sentences: Sequence[str], likes: np.ndarray, cache: Path) -> SentencePolarity:
        """Learn from n sentences and (n,) bool whether the review has many stars; both must occur. Both classes have the same weight.

        The encoder's states of a sentence are kept under `cache`."""
        words, states = self.vectorizer.fit_transform(sentences), self.states(sentences, cache)
        self.by_words = LogisticRegression(C=1.0, class_weight="balanced", max_iter=500).fit(words, likes)
        self.by_states = LogisticRegression(C=4.0, class_weight="balanced", max_iter=500).fit(states, likes)
        self.scales = float(self.by_words.decision_function(words).std()), float(self.by_states.decision_function(states).std())
        return self

    def score(self, sentences: Sequence[str], cache: Path) -> np.ndarray:
        """(n,) scores, above 0 for praise; about 1 is clear praise."""
        by_words = self.by_words.decision_function(self.vectorizer.transform(sentences))
        by_states = self.by_states.decision_function(self.states(sentences, cache))
        return np.asarray(by_words / self.scales[0] + 2 * by_states / self.scales[1]) / 3

    def word_weights(self) -> dict[str, float]:
        """The weight of each single word, above 0 for praise and below 0 for blame."""
        weights = zip(self.vectorizer.get_feature_names_out(), self.by_words.coef_[0].tolist(), strict=True)
        return {word: weight for word, weight in weights if " " not in word}

    def save(self, folder: Path) -> None:
        """Write polarity.json and polarity.safetensors."""
        terms = self.vectorizer.get_feature_names_out().tolist()
        (folder / "polarity.json").write_text(json.dumps({"terms": terms, "scales": self.scales, "layer": self.layer}, ensure_ascii=False))
        models = {"words": self.by_words, "states": self.by_states}
        weights = {f"{name}.{part}": getattr(model, part) for name, model in models.items() for part in ("coef_", "intercept_")}
        save_file({"idf": self.vectorizer.idf_, **weights}, folder / "polarity.safetensors")

    @classmethod
    def load(cls, folder: Path, encoder: str = "", threads: int = 2) -> SentencePolarity:
        """The model as `save` left it."""
        fields, weights = json.loads((folder / "polarity.json").read_text()), load_file(folder / "polarity.safetensors")
        model = cls(encoder, threads, fields["layer"])
        model.vectorizer.set_params(vocabulary=fields["terms"], min_df=1)
        model.vectorizer.idf_ = weights["idf"]
        model.scales = tuple(fields["scales"])
        model.by_words, model.by_states = LogisticRegression(), LogisticRegression()
        for name, regression in (("words", model.by_words), ("states", model.by_states)):
            regression.coef_, regression.intercept_ = weights[f"{name}.coef_"], weights[f"{name}.intercept_"]
            regression.classes_ = np.array([False, True])
        return model

    def states(self, sentences: Sequence[str], cache: Path) -> np.ndarray:
        """(n, d) float32 of length 1. The layers after `layer` are not run, and a sentence in `cache` is not encoded again."""
        return TextEncoder(self.encoder_name, cache, self.threads, MAX_TOKENS, self.layer).encode(sentences)


@dataclass(frozen=True)
class Term:
    """A word or pair of words that may name an aspect: how many reviews use it, and how often it is in a noun's position."""

    words: tuple[str, ...]
    reviews: int
    noun_share: float

    @property
    def name(self) -> str:
        return " ".join(self.words)


def find_terms(reviews: Sequence[Sequence[str]], polarity: dict[str, float], min_reviews: int, min_noun_share: float) -> list[Term]:
    """Terms that may name aspects, those of most reviews first (ties by name).

    Args:
        reviews: sentences by review.
        polarity: weight of each word for praise or blame; strongly polar words are opinions, not aspects.
        min_reviews: reviews that must use a term.
        min_noun_share: share of its occurrences in a noun's position: after an article or possessive, or before a verb of being.
    """
    places: Counter[tuple[str, ...]] = Counter()
    noun_places: Counter[tuple[str, ...]] = Counter()
    used: Counter[tuple[str, ...]] = Counter()
    strong = float(np.quantile(np.abs(list(polarity.values())), 0.97)) if polarity else np.inf
    opinions = {word for word, weight in polarity.items() if abs(weight) >= strong}
    for sentences in reviews:
        seen: set[tuple[str, ...]] = set()
        for sentence in sentences:
            words = ["", *words_of(sentence), ""]
            for place in range(1, len(words) - 1):
                for length in (1, 2):
                    term = tuple(words[place : place + length])
                    if place + length >= len(words) or any(len(word) < 3 or word in NEVER for word in term):
                        continue
                    before, after = words[place - 1], words[place + length]
                    places[term] += 1
                    noun_places[term] += (before in BEFORE and (after in NEVER or not after)) or after in AFTER
                    seen.add(term)
        used.update(seen)
    found = [
        Term(term, used[term], noun_places[term] / places[term])
        for term in places
        if used[term] >= min_reviews and noun_places[term] >= min_noun_share * places[term] and not opinions & set(term)
    ]
    names = {term.words: term.reviews for term in found}
    # a word that occurs almost only in one pair says less than the pair
    parts = {(word,) for term in found if len(term.words) == 2 for word in term.words if term.reviews >= 0.7 * names.get((word,), 10**9)}
    return sorted((term for term in found if term.words not in parts), key=lambda term: (-term.reviews, term.name))


def terms_in(sentence: str, terms: Collection[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Those of `terms` that a sentence mentions, in order, each once. A word inside a pair that was found is not named again."""
    words = words_of(sentence)
    found: list[tuple[str, ...]] = []
    place = 0
    while place < len(words):
        pair = tuple(words[place : place + 2])
        term = pair if len(pair) == 2 and pair in terms else pair[:1]
        if term in terms and term not in found:
            found.append(term)
        place += len(term)
    return found

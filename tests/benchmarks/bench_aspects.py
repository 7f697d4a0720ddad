"""Aspects on sentences that people marked: polarity learned from other shops' stars, and the terms found beside the most frequent words.

    python -m tests.benchmarks.bench_aspects [--data FOLDER] [--layers]

The reviews of Hu and Liu (KDD 2004) and their later sets: fourteen products, aspects and polarity marked by sentence, no stars. Polarity is
learned from the stars of Amazon Musical Instruments and Gift Cards (1 and 2 against 5) and judged on the sentences whose marks agree. A
term found for a product is right if it is one of the marked aspects of that product, or a part of one, compared by stems.
The last line is JSON. With --layers, how well each layer of the encoder tells held-out stars apart, too.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from ml.text.aspects import NEVER, SentencePolarity, find_terms, sentences_of, words_of
from tests.conftest import SHOP_DATA

STARS = ("amazon_musical_instruments/Musical_Instruments_5.json.gz", "amazon_gift_cards/Gift_Cards_5.json.gz")
MIN_REVIEWS_SHARE, MIN_NOUN_SHARE = 0.02, 0.15
SAMPLED_PRAISE = 4  # one in so many five-star reviews is read


def starred(data: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Sentences, whether their review has five stars, and the number of the review."""
    sentences: list[str] = []
    likes, owner = [], []
    number = 0
    for name in STARS:
        with gzip.open(data / name, "rt") as lines:
            for line in lines:
                review = json.loads(line)
                number += 1
                stars = review["overall"]
                if stars in (3, 4) or (stars == 5 and number % SAMPLED_PRAISE):
                    continue
                found = sentences_of(review.get("summary") or "") + sentences_of(review.get("reviewText") or "")
                sentences += found
                likes += [stars == 5] * len(found)
                owner += [number] * len(found)
    return sentences, np.array(likes), np.array(owner)


def marked(data: Path) -> dict[str, tuple[list[list[str]], set[str], list[tuple[str, bool]]]]:
    """By product: sentences by review, marked aspects, and sentences of one polarity with whether they praise."""
    products = {}
    for archive in sorted((data / "aspect_reviews").glob("*.zip")):
        with zipfile.ZipFile(archive) as files:
            for name in sorted(files.namelist()):
                if not name.endswith(".txt") or "README" in name.upper():
                    continue
                reviews: list[list[str]] = [[]]
                aspects: Counter[str] = Counter()
                polar = []
                for line in files.read(name).decode("utf-8", "replace").splitlines():
                    if line.startswith("[t]"):
                        reviews.append([])
                    if "##" not in line or line.startswith("*"):
                        continue
                    marks, sentence = line.split("##", 1)
                    reviews[-1].append(sentence)
                    values = [int(value) for value in re.findall(r"\[([+-]\d)\]", marks)]
                    aspects.update(aspect.strip().lower() for aspect in re.findall(r"([^,\[\]]+)\[[+-]\d\]", marks))
                    if values and sum(values) != 0:
                        polar.append((sentence, sum(values) > 0))
                products[Path(name).stem] = ([review for review in reviews if review], set(aspects), polar)
    return products


def stems(text: str) -> frozenset[str]:
    return frozenset(re.sub(r"(ies|es|s)$", "", word) for word in words_of(text))


def precision(terms: list[str], aspects: set[str]) -> tuple[int, int]:
    known = [stems(aspect) for aspect in aspects]
    return sum(any(stems(term) <= aspect for aspect in known) for term in terms), len(terms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHOP_DATA)
    parser.add_argument("--layers", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        bench(arguments.data, arguments.layers, Path(cache))


def bench(data: Path, layers: bool, cache: Path) -> None:
    sentences, likes, owner = starred(data)
    if layers:
        held = owner % 5 == 0
        for layer in range(1, 7):
            model = SentencePolarity(threads=1, layer=layer)
            model.fit([s for s, out in zip(sentences, held, strict=True) if not out], likes[~held], cache)
            scores = model.by_states.decision_function(model.states([s for s, out in zip(sentences, held, strict=True) if out], cache))
            print(json.dumps({"layer": layer, "auc of held-out stars": round(roc_auc_score(likes[held], scores), 4)}), flush=True)
        return
    began = time.monotonic()
    model = SentencePolarity(threads=1).fit(sentences, likes, cache)
    seconds = time.monotonic() - began
    products = marked(data)
    polar = [pair for _, _, pairs in products.values() for pair in pairs]
    praised = np.array([praises for _, praises in polar])
    began = time.monotonic()
    scores = model.score([sentence for sentence, _ in polar], cache)
    scored_in = time.monotonic() - began
    weights = model.word_weights()
    ours, frequent, recalled, aspects_in_all = [0, 0], [0, 0], 0, 0
    for reviews, aspects, _ in products.values():
        least = max(2, round(MIN_REVIEWS_SHARE * len(reviews)))
        terms = [term.name for term in find_terms(reviews, weights, least, MIN_NOUN_SHARE)]
        counts = Counter(
            word for review in reviews for word in {w for s in review for w in words_of(s)} if len(word) > 2 and word not in NEVER
        )
        usual = [word for word, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))][: len(terms)]
        for total, found in ((ours, terms), (frequent, usual)):
            right, size = precision(found, aspects)
            total[0], total[1] = total[0] + right, total[1] + size
        named = {stem for term in terms for stem in stems(term)}
        recalled += sum(bool(stems(aspect) & named) for aspect in aspects)
        aspects_in_all += len(aspects)
    print(
        json.dumps(
            {
                "benchmark": "aspects",
                "opinion_sentences": len(polar),
                "polarity_accuracy": round(float(np.mean((scores > 0) == praised)), 4),
                "polarity_balanced_accuracy": round(float((np.mean(scores[praised] > 0) + np.mean(scores[~praised] <= 0)) / 2), 4),
                "polarity_auc": round(float(roc_auc_score(praised, scores)), 4),
                "all_praise_accuracy": round(float(praised.mean()), 4),
                "training_sentences": len(sentences),
                "train_seconds": round(seconds),
                "sentences_per_second": round(len(polar) / scored_in),
                "terms": ours[1],
                "precision": round(ours[0] / ours[1], 4),
                "precision_of_as_many_frequent_words": round(frequent[0] / frequent[1], 4),
                "recall": round(recalled / aspects_in_all, 4),
            }
        )
    )


if __name__ == "__main__":
    main()

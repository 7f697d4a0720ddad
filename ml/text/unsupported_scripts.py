"""Learning from texts in scripts that the encoder's tokenizer does not cover: whether there are enough, and for how long."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ml.text.budget import affordable_tokens
from ml.text.character_network import EPOCHS, MAX_CHARS, MEMBERS, CharacterNetwork
from ml.text.languages import Reader
from ml.text.reviews import Reviews, most_reviews, read_labelled
from ml.text.sentiment_config import SentimentConfig

log = logging.getLogger(__name__)

SAMPLE = 1000
FITS_A_NIGHT = 3  # on the training days, on the days before the test, and on everything
CHARS_A_TOKEN = 30  # characters that the network trains on in the time in which the encoder trains on one token


def fit_network(features: Path, splits: Sequence[str], config: SentimentConfig, reader: Reader) -> CharacterNetwork | None:
    """A network trained on reviews of `splits` in unsupported scripts, as many as a third of the night's minutes times their share allows.

    None where they are less than `unread_share` of a sample, fewer than `network_min_reviews`, or where no candidate would use it.
    """
    if not {"network", "blend"} & set(config.candidates):
        return None
    sample = _read(features, splits, config, SAMPLE)
    share = float(1 - reader.is_known(sample.texts).mean()) if len(sample) else 0.0
    if share < config.unread_share:
        return None
    tokens = affordable_tokens(share * config.train_minutes / FITS_A_NIGHT, config.tokens_per_second)
    chars = tokens * CHARS_A_TOKEN
    readable = min(int(chars / (EPOCHS * MEMBERS * share)), config.linear_max_chars)
    limit = most_reviews(features, splits, readable, MAX_CHARS, config.threads)
    reviews = _read(features, splits, config, limit)
    unsupported = reviews.rows(np.flatnonzero(~reader.is_known(reviews.texts)))
    if len(unsupported) < config.network_min_reviews:
        return None
    log.info("training a network on %d reviews in unsupported scripts, %d characters affordable", len(unsupported), chars)
    return CharacterNetwork.fit(unsupported.texts, unsupported.labels, unsupported.weights, chars=chars, seed=config.seed)


def _read(features: Path, splits: Sequence[str], config: SentimentConfig, limit: int) -> Reviews:
    return read_labelled(features, splits, max_chars=config.max_chars, threads=config.threads, seed=config.seed, limit=limit)

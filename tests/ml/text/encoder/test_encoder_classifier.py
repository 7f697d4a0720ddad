"""The encoder with its head: what it reads, what it answers when asked fast, and how much it is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import pipeline

from ml.text.budget import affordable_tokens, plan_epochs
from ml.text.encoder.classifier import EncoderClassifier, for_scoring, shuffled_batches
from ml.text.encoder.regimes import Regime
from ml.text.reviews import LABELS


def test_the_head_reads_the_mean_of_a_texts_own_tokens_as_transformers_pipeline_does() -> None:
    classifier = EncoderClassifier.pretrained("", 16, seed=1)
    model, texts = classifier.model, ["short", "a somewhat longer text about strings"]
    short, long = classifier.tokenize(texts)
    ids = torch.tensor([short + [0] * (len(long) - len(short)), long])
    with torch.inference_mode():
        batch = model(input_ids=ids, attention_mask=(ids > 0).long()).logits
        alone = [model.classifier(model.encoder(torch.tensor([row]))[0].mean(dim=1))[0] for row in (short, long)]
    torch.testing.assert_close(batch, torch.stack(alone), atol=1e-5, rtol=1e-4)
    answers = pipeline("text-classification", model=model, tokenizer=classifier.tokenizer)(texts, top_k=None, function_to_apply="none")
    scores = [[next(one["score"] for one in answer if one["label"] == label) for label in LABELS] for answer in answers]
    np.testing.assert_allclose(scores, batch.numpy(), atol=1e-5)


@pytest.mark.parametrize("regime", ["full", "prefix"])
def test_what_is_asked_for_scores_answers_as_the_model_does(regime: Regime, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = EncoderClassifier.pretrained("", 64, seed=1, regime=regime)
    texts = ["", "short", "a somewhat longer text about strings, frets and a neck that is too thick", "long " * 100]
    rounded = for_scoring(classifier.model, regime)
    monkeypatch.setattr("ml.text.encoder.classifier.scores_in_int8", lambda: False)
    exact = for_scoring(classifier.model, regime)
    with torch.inference_mode():
        for row in classifier.tokenize(texts):
            tokens = torch.tensor([row])
            answer = classifier.model(input_ids=tokens).logits
            torch.testing.assert_close(exact(tokens), answer, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(rounded(tokens), answer, atol=0.2, rtol=0.1)


def test_a_text_has_the_same_score_whatever_is_scored_beside_it() -> None:
    classifier = EncoderClassifier.pretrained("", 16, seed=1)
    texts = ["short", "a somewhat longer text about strings", "mid length text"]
    together = classifier.logits(texts, threads=2)
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(together[row], classifier.logits([text], threads=1)[0])


def test_adapters_are_loaded_from_safetensors_alone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"adapter_model\.safetensors"):
        EncoderClassifier.load(tmp_path, "", 16, "lora", stars=False)


def test_a_night_trains_on_no_more_tokens_than_it_can_afford() -> None:
    rng = np.random.default_rng(3)
    classes, lengths = rng.choice(3, size=5000, p=[0.04, 0.06, 0.9]), rng.integers(5, 129, size=5000)
    counts = np.bincount(classes)
    plan = plan_epochs(classes, lengths, 4, 10**9, seed=1)
    assert all(np.isin(np.flatnonzero(classes == 0), rows).all() for rows in plan), "the rarest class is in every epoch"
    shares = np.bincount(classes[plan[0]]) / np.bincount(classes[plan[0]]).sum()
    assert shares[2] / shares[0] == pytest.approx(np.sqrt(counts[2] / counts[0]), rel=0.02)
    assert shares[1] / shares[0] == pytest.approx(counts[1] / counts[0], rel=0.02), "a class not twice as large is there as a whole too"
    positives = np.concatenate([rows[classes[rows] == 2] for rows in plan])
    assert len(np.unique(positives)) == min(len(positives), counts[2]), "another part of the largest class in every epoch"
    short = plan_epochs(classes, lengths, 4, 60_000, seed=1)
    assert 0.9 * 60_000 < sum(lengths[rows].sum() for rows in short) < 1.1 * 60_000
    assert all(np.array_equal(*pair) for pair in zip(short, plan_epochs(classes, lengths, 4, 60_000, seed=1), strict=True))
    assert affordable_tokens(10, 1000.0) == 1_200_000


def test_batches_hold_every_row_once_and_little_padding() -> None:
    lengths = np.random.default_rng(1).integers(3, 128, size=1000)
    batches = list(shuffled_batches(lengths, 16, np.random.default_rng(2)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.06 * lengths.sum()

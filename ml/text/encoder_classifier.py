"""A pretrained encoder with a classification head: fine-tuned, asked, saved and loaded.

Texts are batched by length, so that little of a batch is padding, and run in bfloat16 with float32 master weights.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_bytes
from torch.nn.utils.rnn import pad_sequence

from ml.text.pretrained import encoder_folder, load_tokenizer
from ml.text.reviews import LABELS

log = logging.getLogger(__name__)

WARM_UP_SHARE = 0.1
WEIGHT_DECAY = 0.01
LARGEST_GRADIENT = 1.0
BUCKET_BATCHES = 32
SECONDS_BETWEEN_LOGS = 10.0


class EncoderClassifier:
    """Texts to logits over LABELS.

    Attributes:
        model: transformers' sequence classifier, float32, in evaluation mode outside of `train`.
        tokenizer: its fast tokenizer.
        max_tokens: tokens of a text that are read.
    """

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens

    @classmethod
    def pretrained(cls, encoder: str, max_tokens: int, seed: int) -> EncoderClassifier:
        """Encoder `encoder` (see `encoder_folder`) with a new head, started from `seed`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _load_model(encoder_folder(encoder), num_labels=len(LABELS), ignore_mismatched_sizes=True)
        return cls(model, load_tokenizer(encoder), max_tokens)

    def train(
        self,
        texts: Sequence[str],
        labels: np.ndarray,
        class_weights: np.ndarray,
        *,
        epochs: int,
        learning_rate: float,
        batch_size: int,
        seed: int,
    ) -> None:
        """Fine-tune on n texts and their (n,) labels with AdamW, a linear warm-up and a linear decay to zero.

        Args:
            class_weights: (classes,) weight of a review of each class in the loss.
            seed: decides order and dropout; the same seed, texts and threads give the same weights.
        """
        tokens = self._tokenize(texts)
        lengths = np.array([len(row) for row in tokens])
        targets = torch.from_numpy(labels)
        rng = np.random.default_rng(seed)
        plan = [batch for _ in range(epochs) for batch in shuffled_batches(lengths, batch_size, rng)]
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _warm_up_and_decay(step, len(plan)))
        loss_of = torch.nn.CrossEntropyLoss(torch.from_numpy(class_weights).float())
        progress = _Progress("trained", epochs * len(tokens))
        self.model.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for batch in plan:
                ids, mask = self._pad([tokens[row] for row in batch])
                with torch.autocast("cpu", torch.bfloat16):
                    logits = self.model(input_ids=ids, attention_mask=mask).logits
                loss = loss_of(logits.float(), targets[batch])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
                optimizer.step()
                schedule.step()
                progress.add(len(batch), loss)
        self.model.eval()

    @torch.inference_mode()
    def logits(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        """(n, classes) float64 logits of n texts."""
        tokens = self._tokenize(texts)
        order = np.argsort([len(row) for row in tokens], kind="stable")
        fast = copy.deepcopy(self.model).to(torch.bfloat16)
        result = np.empty((len(tokens), len(LABELS)))
        progress = _Progress("scored", len(tokens))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            ids, mask = self._pad([tokens[row] for row in batch])
            result[batch] = fast(input_ids=ids, attention_mask=mask).logits.double().numpy()
            progress.add(len(batch))
        return result

    def save(self, folder: Path) -> None:
        """Write config.json, model.safetensors and the tokenizer's JSON files."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, max_tokens: int) -> EncoderClassifier:
        """The classifier as `save` left it."""
        return cls(_load_model(folder), load_tokenizer(str(folder)), max_tokens)

    def weights(self) -> bytes:
        """The weights as one safetensors document."""
        return to_bytes({name: tensor.contiguous() for name, tensor in self.model.state_dict().items()})

    def copy(self) -> EncoderClassifier:
        """A classifier of its own with the same weights."""
        return EncoderClassifier(copy.deepcopy(self.model), self.tokenizer, self.max_tokens)

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        return list(self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens, return_attention_mask=False)["input_ids"])

    def _pad(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, longest) token ids and their mask."""
        mask = pad_sequence([torch.ones(len(row), dtype=torch.int64) for row in rows], batch_first=True)
        ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=self.tokenizer.pad_token_id or 0)
        return ids, mask


def shuffled_batches(lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of row numbers, all rows once, of similar lengths within a batch and in random order.

    Rows are shuffled, sorted by length within stretches of 32 batches, cut, and the batches shuffled.
    """
    order = rng.permutation(len(lengths))
    stretch = BUCKET_BATCHES * batch_size
    batches: list[np.ndarray] = []
    for start in range(0, len(order), stretch):
        rows = order[start : start + stretch]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]
    yield from (batches[number] for number in rng.permutation(len(batches)))


def _load_model(folder: Path | str, **options: Any) -> Any:
    from transformers import AutoModelForSequenceClassification, logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # that a new head has no pretrained weights is what is wanted here
    try:
        return AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, **options
        )
    finally:
        logging.set_verbosity(verbosity)


def _warm_up_and_decay(step: int, steps: int) -> float:
    warm = max(1, round(WARM_UP_SHARE * steps))
    return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))


class _Progress:
    """Logs how far a loop is, every ten seconds."""

    def __init__(self, verb: str, total: int) -> None:
        self.verb, self.total, self.done = verb, total, 0
        self.began = self.told = time.monotonic()

    def add(self, reviews: int, loss: torch.Tensor | None = None) -> None:
        self.done += reviews
        now = time.monotonic()
        if now - self.told < SECONDS_BETWEEN_LOGS:
            return
        self.told = now
        pace = self.done / (now - self.began)
        note = "" if loss is None else f", loss {loss.item():.3f}"
        log.info(
            "%s %d of %d reviews, %.0f a second, %.0f s to go%s",
            self.verb,
            self.done,
            self.total,
            pace,
            (self.total - self.done) / pace,
            note,
        )

"""A pretrained encoder with a classification head: fine-tuning, scoring, saving and loading.

Training uses batches of similar lengths, so that there is little padding. Scoring takes one text at a time, without padding, in eight-bit
integers where the processor multiplies them fast. A text's logits therefore depend on nothing but the text and the weights.
"""

from __future__ import annotations

import copy
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_bytes
from torch.nn.utils.rnn import pad_sequence

from ml.text.encoder.lean_bert import LeanBert, is_bert, traced
from ml.text.encoder.pretrained import load_tokenizer
from ml.text.encoder.regimes import HEAD, PACE, Regime, adapt, begin_allocating, finish_allocating, load_adapters, merged
from ml.text.reviews import LABELS, STARS, class_log_probabilities
from ml.text.threads import training_threads

log = logging.getLogger(__name__)

WARM_UP_SHARE = 0.1
WEIGHT_DECAY = 0.01
HEAD_PACE = 10.0  # times the learning rate of pretrained layers, which are close to their optimum from the start
MAX_GRADIENT_NORM = 1.0
BUCKET_BATCHES = 32
TEXTS_A_TURN = 32
SECONDS_BETWEEN_LOGS = 10.0
INT8_ENGINE = "x86"


class EncoderClassifier:
    """Texts to logits over stars (five of them) or over LABELS.

    Attributes:
        model: the classifier, or PEFT's around it; float32, in evaluation mode outside of `train`, and changed only there.
        tokenizer: its fast tokenizer.
        max_tokens: tokens of a text that are read.
        regime: which weights are trained.
    """

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int, regime: Regime = "full") -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.regime: Regime = regime
        self._fast: Callable[[torch.Tensor], torch.Tensor] | None = None

    @classmethod
    def pretrained(cls, encoder: str, max_tokens: int, seed: int, *, stars: bool = False, regime: Regime = "full") -> EncoderClassifier:
        """Encoder `encoder` (see `encoder_folder`) with a new head over stars or LABELS, started from `seed`."""
        from ml.text.encoder.mean_pooled import MeanPooledClassifier

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = adapt(MeanPooledClassifier.start(encoder, STARS if stars else LABELS), regime)
        return cls(model, load_tokenizer(encoder), max_tokens, regime)

    @property
    def of_stars(self) -> bool:
        """Whether the head predicts the five stars; else it predicts the three classes."""
        return int(self.model.config.num_labels) == len(STARS)

    def train(
        self,
        tokens: Sequence[list[int]],
        targets: np.ndarray,
        weights: np.ndarray,
        epochs: Sequence[np.ndarray],
        *,
        learning_rate: float,
        batch_size: int,
        seed: int,
    ) -> None:
        """Fine-tune on n tokenized texts and their (n,) targets with AdamW, a linear warm-up and a linear decay to zero.

        Attention is trained without dropout, which halves the time. Hidden states keep theirs.

        Args:
            tokens: from `tokenize`.
            targets: stars minus one, or indices into LABELS.
            weights: (n,) weight of each text.
            epochs: the rows that each epoch shows (see `budget.plan_epochs`).
            learning_rate: its peak for pretrained layers; others have a multiple of it.
            seed: of order and dropout; the same seed and texts give the same weights.
        """
        from transformers import get_linear_schedule_with_warmup

        lengths = np.array([len(row) for row in tokens])
        goal = torch.from_numpy(weights[:, None] * np.eye(self.model.config.num_labels)[targets]).float()
        rng = np.random.default_rng(seed)
        plan = [rows[batch] for rows in epochs for batch in shuffled_batches(lengths[rows], batch_size, rng)]
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(self._at_their_rates(learning_rate), weight_decay=WEIGHT_DECAY, fused=True)
        schedule = get_linear_schedule_with_warmup(optimizer, round(WARM_UP_SHARE * len(plan)), len(plan))
        progress = _Progress("trained", sum(map(len, plan)))
        reduced = trains_in_bfloat16()
        allocating = self.regime == "adalora" and begin_allocating(self.model, len(plan))
        self._fast = None
        self.model.train()
        _set_attention_dropout(self.model, 0.0)
        with training_threads(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for step, batch in enumerate(plan):
                ids, mask = self._pad([tokens[row] for row in batch])
                with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
                    output = self.model(input_ids=ids, attention_mask=mask, labels=goal[batch])
                loss = output.loss.float()  # includes AdaLoRA's penalty in that regime
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(trained, MAX_GRADIENT_NORM)
                optimizer.step()
                if allocating:  # between the gradients and the next step, as the method requires
                    self.model.base_model.update_and_allocate(step)
                schedule.step()
                progress.add(len(batch), loss)
        if allocating:
            finish_allocating(self.model)
        self.model.eval()

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of n texts, the first `max_tokens` of each, special tokens included."""
        if not texts:
            return []
        return list(self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens, return_attention_mask=False)["input_ids"])

    def logits(self, texts: Sequence[str], threads: int) -> np.ndarray:
        """(n, classes) float64 log-probabilities, before calibration, of n texts over LABELS."""
        return self.logits_of_tokens(self.tokenize(texts), threads)

    def logits_of_tokens(self, tokens: Sequence[list[int]], threads: int) -> np.ndarray:
        """The same from the texts' token ids, `threads` texts at a time."""
        outputs = np.zeros((len(tokens), self.model.config.num_labels))
        if not tokens:
            return class_log_probabilities(outputs)
        fast = self._fast = self._fast or for_scoring(self.model, self.regime)
        progress = _Progress("scored", len(tokens))
        order = np.argsort([-len(row) for row in tokens], kind="stable")
        before = torch.get_num_threads()

        def score(rows: np.ndarray) -> int:
            torch.set_num_threads(1)
            with torch.inference_mode():
                for row in rows:
                    outputs[row] = fast(torch.tensor([tokens[row]]))[0].double().numpy()
            return len(rows)

        try:
            with ThreadPoolExecutor(threads) as pool:
                for done in pool.map(score, np.array_split(order, -(-len(order) // TEXTS_A_TURN))):
                    progress.add(done)
        finally:
            torch.set_num_threads(before)
        return class_log_probabilities(outputs)

    def save(self, folder: Path) -> None:
        """Write the tokenizer's JSON files and either config.json with model.safetensors or, for a PEFT regime, only adapters and head."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, encoder: str, max_tokens: int, regime: Regime, *, stars: bool) -> EncoderClassifier:
        """The classifier as `save` left it; adapters are added to `encoder` again."""
        from ml.text.encoder.mean_pooled import MeanPooledClassifier

        if regime in ("full", "head"):
            model = adapt(MeanPooledClassifier.load(folder), regime)
        else:
            model = load_adapters(MeanPooledClassifier.start(encoder, STARS if stars else LABELS), folder, regime)
        return cls(model, load_tokenizer(str(folder)), max_tokens, regime)

    def weights(self) -> bytes:
        """The weights as one safetensors document; in a PEFT regime only the trained ones, because the others are the encoder's own."""
        kept = self.model.state_dict()
        if self.regime not in ("full", "head"):
            kept = {name: weight.detach() for name, weight in self.model.named_parameters() if weight.requires_grad}
        return to_bytes({name: tensor.contiguous().clone() for name, tensor in kept.items()})

    def copy(self) -> EncoderClassifier:
        """A separate classifier with the same weights."""
        return EncoderClassifier(copy.deepcopy(self.model), self.tokenizer, self.max_tokens, self.regime)

    def _at_their_rates(self, learning_rate: float) -> list[dict[str, Any]]:
        """The trained weights as parameter groups. The head learns faster than pretrained layers; so do additions (PACE)."""
        trained = [(name, weight) for name, weight in self.model.named_parameters() if weight.requires_grad]
        if self.regime != "full":
            return [{"params": [weight for _, weight in trained], "lr": PACE[self.regime] * learning_rate}]
        return [
            {"params": [weight for name, weight in trained if not name.startswith(f"{HEAD}.")], "lr": learning_rate},
            {"params": [weight for name, weight in trained if name.startswith(f"{HEAD}.")], "lr": HEAD_PACE * learning_rate},
        ]

    def _pad(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, longest) token ids and their mask."""
        mask = pad_sequence([torch.ones(len(row), dtype=torch.int64) for row in rows], batch_first=True)
        ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=self.tokenizer.pad_token_id or 0)
        return ids, mask


def trains_in_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16; without them bfloat16 is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def scores_in_int8() -> bool:
    """Whether this processor has instructions for eight-bit integers."""
    return INT8_ENGINE in torch.backends.quantized.supported_engines and bool(torch.cpu._is_vnni_supported())


def for_scoring(model: Any, regime: Regime) -> Callable[[torch.Tensor], torch.Tensor]:
    """A copy for scoring: one text's (1, t) tokens to (1, outputs) logits, with adapters merged and, where that is fast, eight-bit layers.

    Weights are scaled per output, activations per text (dynamic quantization, Jacob et al., 2018).
    """
    whole = merged(copy.deepcopy(model), regime)
    lean = LeanBert(whole).eval() if is_bert(whole) else None
    fast = lean or whole
    if scores_in_int8():
        from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

        torch.backends.quantized.engine = INT8_ENGINE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces a successor in another package
            fast = quantize_dynamic(fast, {torch.nn.Linear: per_channel_dynamic_qconfig}, inplace=True)
    return traced(fast) if lean else lambda tokens: fast(input_ids=tokens).logits


def shuffled_batches(lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of row numbers in random order. Every row occurs once, and rows of a batch have similar lengths.

    Rows are shuffled, sorted by length within buckets of 32 batches, and cut into batches, which are shuffled.
    """
    order = rng.permutation(len(lengths))
    bucket = BUCKET_BATCHES * batch_size
    batches: list[np.ndarray] = []
    for start in range(0, len(order), bucket):
        rows = order[start : start + bucket]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]
    yield from (batches[number] for number in rng.permutation(len(batches)))


def _set_attention_dropout(model: Any, share: float) -> None:
    """Set the dropout inside attention, which the fused attention on processors does not support."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and name.endswith(("self.dropout", "attention.dropout")):
            module.p = share


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

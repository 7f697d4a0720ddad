"""A transformer over histories that predicts the next product (Kang and McAuley, Self-Attentive Sequential Recommendation, 2018).

It is trained with a sampled softmax. A batch shares its negatives, and each is corrected for its probability of being drawn (Yi et al.,
Sampling-Bias-Corrected Neural Modeling, 2019). In this family of models the loss matters most (Klenitskiy and Vasilev, Turning Dross Into
Gold Loss, 2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ml.recommend.candidates.als import vector_affinity
from ml.recommend.candidates.contract import Arrays, Training
from ml.recommend.config import RecommenderConfig
from ml.recommend.data.catalogue import Catalogue
from ml.recommend.data.histories import EVENT_TYPES, History
from ml.recommend.data.words import word_weights
from ml.recommend.threads import one_thread
from ml.text.encoder.text_encoder import TextEncoder

TOKENS_AT_ONCE = 2048
# a batch has this many parts, each computed on one thread; gradients are added in order: the same bits on any number of threads
PARTS = 2
# bounds, in hours, of the time since the event before
GAPS = np.array([0.1, 1, 6, 24, 72, 168, 336, 720, 2160, 8760])
HOUR = 3600e6  # microseconds
WEIGHT_DECAY = 0.01
WARM_UP = 50  # steps until the full learning rate
TEXT_RIDGE = 1.0
SHARPNESS = 0.25  # power of the likelihoods, so that the likeliest product does not outweigh all others

NEW_COUNTS = 3  # the share of epochs when continuing is this many times the share of new rows, within the settings' bounds

NEVER = 2**63 - 1  # for a file that does not say what was known: no fit may continue from it

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Sequences:
    """The latest products of n customers, oldest first.

    Attributes:
        products, events, gaps: (n, w) numbers, 0 after a customer's last place.
        inside: (n, w) where there is an entry.
    """

    products: Tensor
    events: Tensor
    gaps: Tensor
    inside: Tensor

    @classmethod
    def of(cls, history: History, customers: np.ndarray, length: int) -> Sequences:
        """The last `length` products of some customers of a history."""
        begin, end = history.indptr[customers], history.indptr[customers + 1]
        kept = np.minimum(end - begin, length)
        back = kept[:, None] - 1 - np.arange(kept.max(initial=1))
        inside = back >= 0
        place = np.where(inside, begin[:, None] + back, 0)
        before = np.where(inside & (back < (end - begin)[:, None] - 1), place + 1, place)
        hours = (history.last_at[place] - history.last_at[before]) / HOUR
        columns = (history.product[place], history.event[place], np.digitize(hours, GAPS))
        products, events, gaps = (torch.from_numpy(np.where(inside, values, 0).astype(np.int64)) for values in columns)
        return cls(products, events, gaps, torch.from_numpy(inside))


class SequenceModel:
    """A block of causal attention over product, event type and elapsed time. Its output is compared with the products' vectors.

    Attributes:
        until: microseconds since 1970. All rows it learned from lie before it, those of fits that it continued from included.
    """

    name: ClassVar[str] = "sequence"
    strategy: ClassVar[str] = "collaborative"
    weights: Weights
    until: int

    def __init__(self, config: RecommenderConfig) -> None:
        self.config = config

    def suits(self, catalogue: Catalogue, history: History) -> bool:
        return history.products_seen > 1 and len(catalogue) <= self.config.sequence_max_products

    # ---- learning --------------------------------------------------------------------------------------------------
    def fit(self, training: Training) -> None:
        """Continues from an earlier fit where there is one, for a share of the epochs at half the rate.

        Later nights continue from what earlier nights kept. A fit that is used for choices or evaluations must not know the days that it
        is asked about, not even through the weights it started from. A fit may therefore continue from another only if everything that
        the other learned from lies before the end of the current history. Validation days lie before test days, and both move on every
        night, so the weights with which a champion was evaluated have seen most of tonight's validation days. The fit before the
        validation days therefore continues from last night's fit before its validation days, and the champion's evaluated weights are
        used for the fit before the test days. Of several usable fits the latest is taken.
        """
        history = training.history
        self.until = history.moment
        earlier = self._latest(training)
        self.weights = self._start(history.products) if earlier is None else {name: w.clone() for name, w in earlier.weights.items()}
        lengths = np.minimum(np.diff(history.indptr), self.config.sequence_length)
        customers = np.flatnonzero(lengths > 1)
        if len(customers) < self.config.sequence_min_customers:
            self.weights["products"].zero_()
            return
        epochs = min(self.config.sequence_epochs, self.config.sequence_tokens // int(lengths[customers].sum()))
        rate = self.config.sequence_rate
        if earlier is not None:
            new = (history.last_at >= earlier.until).mean() * NEW_COUNTS
            epochs, rate = round(epochs * min(max(new, self.config.sequence_again_least), self.config.sequence_again)), rate / 2
        rng = np.random.default_rng(self.config.seed)
        words = word_weights(training.catalogue)
        batches = [batch for _ in range(max(1, epochs)) for batch in shuffled(customers, lengths, rng)]
        with one_thread():
            said = self._learn(history, words, batches, rate, rng)
        known = np.bincount(history.product, minlength=history.products) > 0
        self.weights["products"][torch.from_numpy(~known)] = 0
        self.weights["products"] += said
        self._fill(known | (np.diff(words.indptr) > 0), training.catalogue, training.cache)

    def _latest(self, training: Training) -> SequenceModel | None:
        """The latest earlier fit that learned something, has tonight's settings and knows nothing later than the current history."""
        shapes = {name: weight.shape for name, weight in self._start(training.history.products).items()}
        usable = [
            earlier
            for earlier in training.earlier
            if isinstance(earlier, SequenceModel)
            and earlier.until <= training.history.moment
            and {name: weight.shape for name, weight in earlier.weights.items()} == shapes
            and earlier.weights["products"].any()
        ]
        return max(usable, key=lambda earlier: earlier.until, default=None)

    def _start(self, products: int) -> Weights:
        size, generator = self.config.sequence_factors, torch.Generator().manual_seed(self.config.seed)

        def random(*shape: int, spread: float = 0.02) -> Tensor:
            return torch.empty(shape).normal_(0, spread, generator=generator)

        return {
            "products": random(products, size),
            "places": random(self.config.sequence_length, size),
            "events": random(len(EVENT_TYPES), size),
            "gaps": random(len(GAPS) + 1, size),
            "attention_norm": torch.ones(size),
            "attention_in": random(3 * size, size, spread=size**-0.5),
            "attention_out": random(size, size, spread=size**-0.5),
            "forward_norm": torch.ones(size),
            "forward_in": random(2 * size, size, spread=size**-0.5),
            "forward_bias": torch.zeros(2 * size),
            "forward_out": random(size, 2 * size, spread=(2 * size) ** -0.5),
            "norm": torch.ones(size),
        }

    def _learn(
        self, history: History, words: sp.csr_matrix, batches: Sequence[np.ndarray], rate: float, rng: np.random.Generator
    ) -> Tensor:
        """AdamW over batches of customers' numbers. The rate rises for a few steps, then falls to 0 along a cosine.

        A product's vector is the sum of its own vector and the weighted vectors of its words. Its own stays in the weights; the (P, f) sums
        over words are returned.
        """
        config, generator = self.config, torch.Generator().manual_seed(int(rng.integers(2**62)))
        drawn = torch.from_numpy(np.sqrt(np.bincount(history.product, minlength=history.products)))
        drawn = (drawn / drawn.sum() / 2 + 0.5 / history.products).float()
        said_by, said = words.T.tocsr(), torch.zeros_like(self.weights["products"])
        own = self.weights["products"].clone()
        of_words = torch.zeros(words.shape[1], config.sequence_factors)
        for weight in self.weights.values():
            weight.requires_grad_()
        learned = [own, of_words, *list(self.weights.values())[1:]]
        tables, scales = ([w for w in learned if (w.dim() > 1) == wide] for wide in (True, False))
        groups: list[dict[str, Any]] = [{"params": tables}, {"params": scales, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=WEIGHT_DECAY, fused=True)
        with ThreadPoolExecutor(min(PARTS, config.threads)) as pool:
            for step, batch in enumerate(batches):
                fallen = (1 + math.cos(math.pi * step / len(batches))) / 2
                for group in optimizer.param_groups:
                    group["lr"] = rate * min(1, (step + 1) / WARM_UP) * fallen
                negatives = torch.multinomial(drawn, config.sequence_negatives, replacement=True, generator=generator)
                correction = torch.log(drawn[negatives] * config.sequence_negatives)
                parts = [part for part in np.array_split(batch, PARTS) if len(part)]
                work = partial(self._gradients, history, negatives, correction)
                gradients = list(pool.map(work, parts, rng.integers(0, 2**62, len(parts)).tolist()))
                count = int(np.minimum(np.diff(history.indptr)[batch], config.sequence_length).sum()) - len(batch)
                for shares in zip(*gradients, strict=True):
                    for other in shares[1:]:
                        shares[0].add_(other)
                    shares[0].div_(count)
                by_product, *rest = gradients[0]
                of_words_too = torch.from_numpy(said_by @ by_product.numpy())
                for weight, gradient in zip(learned, (by_product, of_words_too, *rest), strict=True):
                    weight.grad = gradient
                optimizer.step()
                with torch.no_grad():
                    said = torch.from_numpy(words @ of_words.numpy())
                    self.weights["products"].copy_(own).add_(said)
        self.weights = {name: weight.detach() for name, weight in self.weights.items()}
        self.weights["products"] = own
        return said

    def _gradients(self, history: History, negatives: Tensor, correction: Tensor, customers: np.ndarray, seed: int) -> tuple[Tensor, ...]:
        """Gradients of the summed loss of some customers' next products, in the order of the weights."""
        asked = Sequences.of(history, customers, self.config.sequence_length)
        known = asked.inside[:, 1:]
        hidden = self._hidden(asked, np.random.default_rng(seed))[:, :-1][known]
        wanted = asked.products[:, 1:][known]
        with torch.no_grad():
            products = self.weights["products"]
            right, wrong = products[wanted], products[negatives]
            # the gradient of the loss is the share each product has in the softmax, less 1 for the right one
            best = (hidden * right).sum(1)
            share = torch.addmm(-correction, hidden, wrong.T)
            order = torch.argsort(negatives, stable=True)
            first = torch.searchsorted(negatives[order], torch.stack([wanted, wanted + 1]))
            drawn_too = torch.repeat_interleave(first[1] - first[0])
            place = torch.arange(len(drawn_too)) - (first[1] - first[0]).cumsum(0)[drawn_too] + first[1][drawn_too]
            share[drawn_too, order[place]] = -math.inf
            top = torch.maximum(share.amax(1), best)
            share.sub_(top[:, None]).exp_()
            best = (best - top).exp_()
            total = share.sum(1) + best
            share.div_(total[:, None])
            missed = (best / total - 1)[:, None]
            towards = torch.addmm(missed * right, share, wrong)
        gradients = torch.autograd.grad(hidden, list(self.weights.values()), towards)
        with torch.no_grad():
            gradients[0].index_add_(0, wanted, missed * hidden)
            gradients[0].index_add_(0, negatives, share.T @ hidden)
        return tuple(gradients)

    def _hidden(self, asked: Sequences, rng: np.random.Generator | None = None) -> Tensor:
        """(n, w, f) what the model expects after each place. With `rng` a share of the activations is dropped."""
        weights, size = self.weights, self.config.sequence_factors
        n, width = asked.products.shape
        heads = self.config.sequence_heads

        def drop(values: Tensor) -> Tensor:
            if rng is None:
                return values
            share = self.config.sequence_dropout  # in steps of 1/65536: drawing whole numbers is many times faster than torch's Bernoulli
            kept = rng.integers(0, 2**16, values.shape, dtype=np.uint16) >= round(share * 2**16)
            return values * torch.from_numpy(kept * np.float32(1 / (1 - share)))

        x = F.embedding(asked.products, weights["products"]) * size**0.5 + weights["places"][:width]
        x = drop(x + F.embedding(asked.events, weights["events"]) + F.embedding(asked.gaps, weights["gaps"]))
        inner = F.layer_norm(x, (size,), weights["attention_norm"]) @ weights["attention_in"].T
        q, k, v = inner.view(n, width, 3, heads, size // heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, width, size)
        x = x + drop(attended @ weights["attention_out"].T)
        inner = F.layer_norm(x, (size,), weights["forward_norm"]) @ weights["forward_in"].T + weights["forward_bias"]
        x = x + drop(drop(F.gelu(inner)) @ weights["forward_out"].T)
        return F.layer_norm(x, (size,), weights["norm"])

    def _fill(self, known: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        """Gives products without a learned vector the vector expected from their text (ridge regression)."""
        products = self.weights["products"]
        texts = catalogue.texts.to_pylist()
        if known.all() or len(set(texts)) <= 2:
            return
        said = torch.from_numpy(TextEncoder(self.config.encoder, cache, self.config.threads).encode(texts))
        with one_thread():
            examples = said[torch.from_numpy(known)]
            left = examples.T @ examples
            left.diagonal().add_(TEXT_RIDGE)
            expected = said @ torch.linalg.solve(left, examples.T @ products[torch.from_numpy(known)])
        products[torch.from_numpy(~known)] = expected[torch.from_numpy(~known)]

    # ---- asking ----------------------------------------------------------------------------------------------------
    def score(self, asked: History) -> np.ndarray:
        """How likely each product is relative to the likeliest; 0 for customers and products of whom nothing is known."""
        products = self.weights["products"]
        scores = np.zeros((asked.customers, asked.products), np.float32)
        lengths = np.minimum(np.diff(asked.indptr), self.config.sequence_length)
        somebody = np.flatnonzero(lengths)
        unknown = ~products.any(1)
        if unknown.all():
            return scores
        with torch.inference_mode(), one_thread():
            for batch in batched(somebody[np.argsort(lengths[somebody], kind="stable")], lengths):
                hidden = self._hidden(Sequences.of(asked, batch, self.config.sequence_length))
                expected = hidden[torch.arange(len(batch)), torch.from_numpy(lengths[batch] - 1)] @ products.T
                expected[:, unknown] = -math.inf
                expected.sub_(expected.amax(1, keepdim=True)).mul_(SHARPNESS).exp_()
                scores[batch] = expected.numpy()
        return scores

    def affinity(self, asked: History, customers: np.ndarray, picks: np.ndarray, past: np.ndarray) -> np.ndarray | None:
        del asked, customers
        return vector_affinity(self.weights["products"].numpy(), picks, past, self.config.fade)

    def arrays(self) -> Arrays:
        return {name: weight.numpy() for name, weight in self.weights.items()} | {"until": np.array([self.until])}

    def restore(self, arrays: Arrays) -> None:
        self.weights = {name: torch.from_numpy(arrays[name]) for name in self._start(0)}
        self.until = int(arrays["until"][0]) if "until" in arrays else NEVER

    def align(self, fitted: np.ndarray, catalogue: Catalogue, cache: Path) -> None:
        products = self.weights["products"]
        self.weights["products"] = torch.where(torch.from_numpy(fitted >= 0)[:, None], products[torch.from_numpy(fitted)], 0)
        self._fill(self.weights["products"].any(1).numpy(), catalogue, cache)


def batched(customers: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Customers in the given order, in parts of about TOKENS_AT_ONCE products."""
    ends = np.cumsum(lengths[customers])
    return np.split(customers, np.searchsorted(ends, np.arange(TOKENS_AT_ONCE, ends[-1], TOKENS_AT_ONCE))) if len(customers) else []


def shuffled(customers: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """An epoch's batches in random order. Customers with histories of similar length are together, so that there is little padding."""
    order = customers[np.argsort(lengths[customers] * rng.uniform(0.8, 1.25, len(customers)))]
    batches = batched(order, lengths)
    return [batches[i] for i in rng.permutation(len(batches))]

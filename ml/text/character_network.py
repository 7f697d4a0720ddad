"""A small network over characters, trained on the shop's own reviews alone, for scripts that the pretrained encoder does not support.

A character is the sum of learned vectors: its own and those of the pair and the three characters that begin with it, hashed and without a
dictionary (Bojanowski et al., "Enriching word vectors with subword information", 2017). Convolutions of several widths follow (Kim,
"Convolutional neural networks for sentence classification", 2014). Their maximum, mean and attended values and the sum of the vectors
(Joulin et al., "Bag of tricks for efficient text classification", 2017) go to one layer over LABELS. Several networks that differ in
their seed form an ensemble.

Texts are scored one at a time, so that a text's logits depend on nothing but the text and the weights.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from safetensors.torch import save as to_bytes
from torch import nn
from torch.nn import functional

from ml.text.budget import plan_epochs
from ml.text.encoder.classifier import shuffled_batches
from ml.text.reviews import LABELS
from ml.text.threads import training_threads

log = logging.getLogger(__name__)

MAX_CHARS = 200  # of a text: half from its start and half from its end; longer texts are rare, and opinions stand at either end
MIN_OCCURRENCES = (2, 4, 6)  # of single characters, pairs and triples in the training texts; rarer ones have no vector
BUCKETS_LOG = 24
MEMBERS = 2
EPOCHS = 2  # on Chinese reviews one and two did equally well on validation; more would take time from other members
MAX_EPOCHS, MIN_STEPS = 10, 400  # in a small shop two epochs have too few steps
BATCH_TEXTS = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
MAX_GRADIENT_NORM = 5.0
WARM_UP_SHARE = 0.05

SIZE = 96  # of a character's vector, and of what a convolution of one width finds
WIDTHS = (2, 3, 4)
DROPPED_PIECES, DROPPED_INPUTS, DROPPED_OUTPUTS = 0.1, 0.3, 0.5
NEVER = -1e4
TEXTS_A_TURN = 64  # when scoring
TEXTS_AT_ONCE = 4096  # when cut into pieces
FILE = "characters.safetensors"

_EDGE, _GAP = "\t", "\n"  # neither occurs in a cleaned text
_BASE, _MIX, _SPREAD = (np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD, 0xC2B2AE3D27D4EB4F))
_FOLD = np.uint64(29)


class CharacterNetwork:
    """Texts to logits over LABELS.

    Attributes:
        buckets: (m,) int32, those of the pieces that have a vector, ascending.
        members: networks that differ only in their seeds, in evaluation mode outside of `fit`.
    """

    def __init__(self, buckets: np.ndarray, members: Sequence[_Network]) -> None:
        self.buckets = buckets
        self.members = [member.eval() for member in members]

    @classmethod
    def fit(cls, texts: Sequence[str], labels: np.ndarray, weights: np.ndarray, *, chars: int, seed: int) -> CharacterNetwork:
        """Learn from n texts, their (n,) labels, indices into LABELS, and the (n,) weights of the texts.

        Args:
            chars: characters that all members together may be shown in all epochs; of more, classes get shares (see `plan_epochs`).
            seed: of start, order and dropout; the same seed and texts give the same weights.
        """
        pieces, bounds = read_pieces(texts)
        buckets = _frequent(pieces)
        places, lengths = _places(pieces, buckets), np.diff(bounds)
        epochs = max(EPOCHS, min(MAX_EPOCHS, MIN_STEPS * BATCH_TEXTS // max(len(texts), 1)))
        members = []
        for number in range(MEMBERS):
            plan = plan_epochs(labels, lengths, epochs, chars // MEMBERS, seed + number)
            rng = np.random.default_rng([seed, number])
            batches = [rows[batch] for rows in plan for batch in shuffled_batches(lengths[rows], BATCH_TEXTS, rng)]
            with training_threads(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed + number)
                network = _Network(len(buckets))
                _train(network, places, bounds, labels, weights, batches)
            members.append(network)
            shown = np.concatenate(plan)
            log.info("network %d of %d: %d pieces, %d reviews shown", number + 1, MEMBERS, len(buckets), len(shown))
        return cls(buckets, members)

    def logits(self, texts: Sequence[str], threads: int) -> np.ndarray:
        """(n, classes) float64 mean log-probabilities of the members, before calibration; `threads` texts at a time."""
        result = np.zeros((len(texts), len(LABELS)))
        before = torch.get_num_threads()

        def score(first: int) -> None:
            torch.set_num_threads(1)
            pieces, bounds = read_pieces(texts[first : first + TEXTS_A_TURN])
            places = torch.from_numpy(_places(pieces, self.buckets))
            with torch.inference_mode():
                for row, (start, stop) in enumerate(itertools.pairwise(bounds.tolist()), first):
                    one = places[None, start:stop]
                    is_text = torch.ones(one.shape[:2], dtype=torch.bool)
                    outputs = torch.cat([member(one, is_text) for member in self.members])
                    result[row] = functional.log_softmax(outputs.double(), dim=1).mean(dim=0).numpy()

        try:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(score, range(0, len(texts), TEXTS_A_TURN)))
        finally:
            torch.set_num_threads(before)
        return result

    def save(self, folder: Path) -> None:
        """Write characters.safetensors."""
        save_file(self._tensors(), folder / FILE)

    def weights(self) -> bytes:
        """The whole model as one safetensors document."""
        return to_bytes(self._tensors())

    def _tensors(self) -> dict[str, torch.Tensor]:
        named = {f"{number}.{name}": tensor for number, member in enumerate(self.members) for name, tensor in member.state_dict().items()}
        return {"buckets": torch.from_numpy(self.buckets)} | named

    @classmethod
    def load(cls, folder: Path) -> CharacterNetwork:
        """The networks as `save` left them."""
        tensors = load_file(folder / FILE)
        buckets = tensors.pop("buckets").numpy()
        members = []
        for number in sorted({int(name.split(".")[0]) for name in tensors}):
            network = _Network(len(buckets))
            prefix = f"{number}."
            network.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)})
            members.append(network)
        return cls(buckets, members)


class _Network(nn.Module):
    """(n, longest, 3) places of pieces and (n, longest) which of them are of the text, to (n, classes) logits."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(pieces + 1, SIZE, padding_idx=0, sparse=True)
        nn.init.normal_(self.vectors.weight[1:].detach(), std=0.05)
        self.convolutions = nn.ModuleList(nn.Linear(width * SIZE, SIZE) for width in WIDTHS)
        found = SIZE * len(WIDTHS)
        self.attention = nn.Linear(found, 1)
        self.output = nn.Linear(3 * found + SIZE, len(LABELS))

    def forward(self, places: torch.Tensor, is_text: torch.Tensor) -> torch.Tensor:
        rows, longest, orders = places.shape
        if self.training:
            places = places * (torch.rand(places.shape) >= DROPPED_PIECES)
        flat = places.reshape(-1, orders)
        vectors = functional.embedding_bag(flat, self.vectors.weight, mode="sum", sparse=True, padding_idx=0).view(rows, longest, SIZE)
        inputs = functional.dropout(vectors, DROPPED_INPUTS, self.training)
        found = torch.cat([one(_windows(inputs, width)) for one, width in zip(self.convolutions, WIDTHS, strict=True)], dim=2).relu()
        attention = torch.softmax(self.attention(found)[:, :, 0].masked_fill(~is_text, NEVER), dim=1)
        length = is_text.sum(dim=1, keepdim=True)
        means = torch.bmm(torch.stack([is_text / length, attention], dim=1), found)
        largest = found.masked_fill(~is_text[:, :, None], 0.0).max(dim=1).values
        pooled = torch.cat([largest, means.flatten(1), vectors.sum(dim=1) / length.sqrt()], dim=1)
        return self.output(functional.dropout(pooled, DROPPED_OUTPUTS, self.training))


def _windows(inputs: torch.Tensor, width: int) -> torch.Tensor:
    """(n, longest, width * size) the `width` vectors around each place, from (n, longest, size): faster than torch's convolutions here."""
    padded = functional.pad(inputs, (0, 0, width // 2, (width - 1) // 2))
    return torch.cat([padded[:, first : first + inputs.shape[1]] for first in range(width)], dim=2)


def read_pieces(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Buckets of the pieces of 1, 2 and 3 characters that begin at each character of n texts, without regard to case.

    Returns:
        (characters, 3) int32 of all texts in a row, and (n + 1,) bounds between them. A text has one character more than its length: an
        edge before it, so that an empty text has one character.
    """
    parts = [_read_part(texts[first : first + TEXTS_AT_ONCE]) for first in range(0, len(texts), TEXTS_AT_ONCE)]
    lengths = np.concatenate([np.zeros(1, np.int64), *(lengths for _, lengths in parts)])
    return np.concatenate([np.zeros((0, len(MIN_OCCURRENCES)), np.int32), *(pieces for pieces, _ in parts)]), np.cumsum(lengths)


def _read_part(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(characters, 3) buckets, and (n,) characters of each text."""
    orders, half = len(MIN_OCCURRENCES), MAX_CHARS // 2
    short = [(text if len(text) <= MAX_CHARS else text[:half] + _GAP + text[-half:]).lower() for text in texts]
    after = _EDGE * (orders - 1)
    codes = np.frombuffer("".join([_EDGE + text + after for text in short]).encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    lengths = np.array([len(text) + 1 for text in short])
    kept = np.repeat((orders - 1) * np.arange(len(short)), lengths) + np.arange(lengths.sum())
    pieces, hashes = np.empty((len(kept), orders), np.int32), np.zeros(len(kept), np.uint64)
    for order in range(orders):
        hashes = hashes * _BASE + codes[kept + order] + np.uint64(1)
        mixed = (hashes + np.uint64(order)) * _SPREAD
        pieces[:, order] = ((mixed ^ (mixed >> _FOLD)) * _MIX >> np.uint64(64 - BUCKETS_LOG)).astype(np.int32)
    return pieces, lengths


def _frequent(pieces: np.ndarray) -> np.ndarray:
    """(m,) ascending buckets that occur in enough of the (characters, 3) places."""
    kept = []
    for order, least in enumerate(MIN_OCCURRENCES):
        buckets, counts = np.unique(pieces[:, order], return_counts=True)
        kept.append(buckets[counts >= least])
    return np.unique(np.concatenate(kept)).astype(np.int32)


def _places(pieces: np.ndarray, buckets: np.ndarray) -> np.ndarray:
    """(characters, 3) int64 places in `buckets`, from 1; 0 for a piece that is not among them."""
    place = np.minimum(np.searchsorted(buckets, pieces), max(len(buckets) - 1, 0))
    return np.where(buckets[place] == pieces, place + 1, 0)


def _padded(places: np.ndarray, bounds: np.ndarray, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, longest, 3) places of some texts, and (rows, longest) which of them are of the text."""
    lengths = bounds[rows + 1] - bounds[rows]
    along = np.arange(lengths.max())
    is_text = along < lengths[:, None]
    found = places[np.minimum(bounds[rows][:, None] + along, len(places) - 1)]
    return torch.from_numpy(np.where(is_text[:, :, None], found, 0)), torch.from_numpy(is_text)


def _train(
    network: _Network, places: np.ndarray, bounds: np.ndarray, labels: np.ndarray, weights: np.ndarray, batches: Sequence[np.ndarray]
) -> None:
    """Train with Adam, sparse for the vectors and with weight decay for all else; a linear warm-up and decay."""
    from transformers import get_linear_schedule_with_warmup

    others = [weight for weight in network.parameters() if weight is not network.vectors.weight]
    optimizers = [
        torch.optim.SparseAdam([network.vectors.weight], lr=LEARNING_RATE),
        torch.optim.AdamW(others, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True),
    ]
    warm = round(WARM_UP_SHARE * len(batches))
    schedules = [get_linear_schedule_with_warmup(optimizer, warm, len(batches)) for optimizer in optimizers]
    goal, counts = torch.from_numpy(labels), torch.from_numpy(weights).float()
    network.train()
    for rows in batches:
        network.zero_grad()
        losses = functional.cross_entropy(network(*_padded(places, bounds, rows)), goal[rows], reduction="none")
        (losses * counts[rows]).mean().backward()
        nn.utils.clip_grad_norm_(others, MAX_GRADIENT_NORM)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()

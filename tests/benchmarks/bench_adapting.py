"""Whether the encoder reads a shop's reviews better after it has gone on learning from their texts alone.

    python -m tests.benchmarks.bench_adapting FILE --text summary,reviewText --label overall --time unixReviewTime [--epochs 1]

Before anything is learned from stars, all layers of the encoder go on over the texts of the training and validation days ("Don't stop
pretraining", Gururangan et al., 2020): guessing masked tokens (Devlin et al., 2019), with a new head for that; or finding a text among
others by its own vector under another dropout (SimCSE, Gao et al., 2021). Then the nightly's own path is gone as without, and judged on the
same held-out reviews, beside the encoder as it is packaged with its 95 % interval. A JSON line each. What files and labels may look like
says review_files.py.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import get_linear_schedule_with_warmup

from include.settings import load_settings
from ml.nightly_model import BEFORE_TEST
from ml.text.calibration import macro_f1
from ml.text.encoder.classifier import shuffled_batches
from ml.text.encoder.pretrained import encoder_folder, load_encoder, load_tokenizer
from ml.text.reviews import LABELS
from ml.text.sentiment import SentimentModel
from ml.text.sentiment_config import SentimentConfig
from tests.benchmarks.bench_sentiment import macro_f1_difference, read_split
from tests.benchmarks.review_files import UnreadableReviews, add_file_arguments, write_snapshot

log = logging.getLogger(__name__)

BATCH_TEXTS = 32
LEARNING_RATE = 5e-5
WARM_UP_SHARE = 0.1
MASKED, REPLACED_BY_MASK = 0.15, 0.9  # of the tokens; the rest of those to be guessed stay as they are
TEMPERATURE = 0.05

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def masked_words(encoder: Any, tokenizer: Any) -> tuple[torch.nn.Module, Loss]:
    """A head that guesses masked tokens, and the loss of (b, t) ids and their mask."""
    size = encoder.config.hidden_size
    head = torch.nn.Sequential(torch.nn.Linear(size, size), torch.nn.GELU(), torch.nn.LayerNorm(size))
    words = encoder.get_input_embeddings().weight
    special = torch.tensor(tokenizer.all_special_ids)

    def loss(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        chosen = (torch.rand(ids.shape) < MASKED) & ~torch.isin(ids, special)
        shown = torch.where(chosen & (torch.rand(ids.shape) < REPLACED_BY_MASK), tokenizer.mask_token_id, ids)
        hidden = encoder(input_ids=shown, attention_mask=mask)[0][chosen]
        return functional.cross_entropy(head(hidden) @ words.T, ids[chosen])

    return head, loss


def same_text(encoder: Any, tokenizer: Any) -> tuple[torch.nn.Module, Loss]:
    """No head, and the loss of finding each of (b, t) texts among the b by its mean vector."""
    del tokenizer

    def vectors(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = encoder(input_ids=ids, attention_mask=mask)[0] * mask[:, :, None]
        return functional.normalize(hidden.sum(dim=1), dim=1)

    def loss(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(vectors(ids, mask) @ vectors(ids, mask).T / TEMPERATURE, torch.arange(len(ids)))

    return torch.nn.Identity(), loss


WAYS = {"masked words": masked_words, "the same text": same_text}


def adapted(way: str, texts: Sequence[str], folder: Path, config: SentimentConfig, epochs: int) -> None:
    """Write to `folder` the encoder after it went on over the texts."""
    encoder, tokenizer = load_encoder(config.encoder), load_tokenizer(config.encoder)
    rows = tokenizer(list(texts), truncation=True, max_length=config.max_tokens, return_attention_mask=False)["input_ids"]
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    head, loss_of = WAYS[way](encoder, tokenizer)
    lengths = np.array([len(row) for row in rows])
    plan = [batch for _ in range(epochs) for batch in shuffled_batches(lengths, BATCH_TEXTS, rng)]
    weights = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, round(WARM_UP_SHARE * len(plan)), len(plan))
    encoder.train()
    for name, module in encoder.named_modules():
        if isinstance(module, torch.nn.Dropout) and name.endswith("self.dropout"):
            module.p = 0.0  # the fused attention has none
    losses: list[float] = []
    for step, batch in enumerate(plan, 1):
        ids = pad_sequence([torch.tensor(rows[row]) for row in batch], batch_first=True, padding_value=tokenizer.pad_token_id)
        mask = torch.arange(ids.shape[1])[None, :] < torch.from_numpy(lengths[batch])[:, None]
        loss = loss_of(ids, mask.long())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 50 == 0 or step == len(plan):
            log.info("%s: %d of %d batches, loss %.3f", way, step, len(plan), np.mean(losses[-50:]))
    encoder.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def lines(features: Path, scratch: Path, config: SentimentConfig, epochs: int) -> Iterator[dict[str, Any]]:
    texts = read_split(features, BEFORE_TEST, config).texts
    test = read_split(features, ["test"], config)
    first: np.ndarray | None = None
    for way in ("", *WAYS):
        folder, began = scratch / way.replace(" ", "_"), time.perf_counter()
        if way:
            adapted(way, texts, folder, config, epochs)
        seconds = time.perf_counter() - began
        model = SentimentModel(config.model_copy(update={"encoder": str(folder) if way else config.encoder}))
        model.fit(features, features)
        decided = model.score(test.texts)[1]
        first = decided if first is None else first
        yield {
            "encoder": f"gone on with {way}" if way else Path(encoder_folder(config.encoder)).name,
            "adapting_seconds": round(seconds, 1),
            "chosen": model.chosen,
            "macro_f1": round(macro_f1(decided, test.labels, len(LABELS)), 4),
            "accuracy": round(float(np.mean(decided == test.labels)), 4),
            "macro_f1_over_first_95": macro_f1_difference(decided, first, test.labels, config.seed),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_file_arguments(parser)
    parser.add_argument("--epochs", type=int, default=1, help="times each text is gone over without stars")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as scratch:
        try:
            write_snapshot(given.reviews, given.text, given.label, given.time, Path(whole))
        except UnreadableReviews as error:
            sys.stderr.write(f"{error}\n")
            return 2
        for line in lines(Path(whole), Path(scratch), load_settings().of_model("sentiment"), given.epochs):
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

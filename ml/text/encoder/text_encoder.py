"""Texts as vectors of the pretrained encoder. Each text is encoded once; vectors are kept by text and encoder and outlive the night."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from ml.text.encoder.pretrained import encoder_folder, load_encoder, load_tokenizer

log = logging.getLogger(__name__)

MAX_TOKENS = 128
WIDTH_STEP = 8  # tokens; batches are padded to a multiple of it
TOKENS_AT_ONCE = 2048
TEXTS_PER_FILE = 20_000
UNUSED_SECONDS = 60 * 86_400  # without use, after which a file of vectors is deleted


class TextEncoder:
    """Mean-pooled, unit-length vectors of texts (Reimers and Gurevych, Sentence-BERT, 2019).

    Args:
        name: folder or hub name of the encoder; '' for the packaged all-MiniLM-L6-v2.
        cache: folder of the vectors, one Parquet file per addition; safe to share between nights and processes.
        threads: threads torch may use while encoding.
        max_tokens: tokens of a text that are read.
        layers: how many of the encoder's layers are run; None for all.
    """

    def __init__(self, name: str, cache: Path, threads: int, max_tokens: int = MAX_TOKENS, layers: int | None = None) -> None:
        self.name = name
        self.threads = threads
        self.max_tokens = max_tokens
        self.layers = layers
        self.folder = cache / "text_vectors" / encoder_id(name, max_tokens, layers)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32 vectors of length 1, zeros for an empty text. Equal texts always get equal vectors."""
        hashes = np.array(
            [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() if text.strip() else "" for text in texts], dtype=object
        )
        wanted, first = np.unique(hashes.astype(str), return_index=True)
        first, wanted = first[wanted != ""], wanted[wanted != ""]
        known, vectors = self._cached(wanted)
        missing = np.flatnonzero(~np.isin(wanted, known))
        for begin in range(0, len(missing), TEXTS_PER_FILE):  # a night that is killed keeps what it has encoded so far
            part = missing[begin : begin + TEXTS_PER_FILE]
            fresh = self._encode([texts[i] for i in first[part]])
            self._keep(wanted[part], fresh)
            known = np.concatenate([known, wanted[part]])
            vectors = np.concatenate([vectors, fresh]) if len(vectors) else fresh
        if len(known) == 0:
            return np.zeros((len(texts), 1), np.float32)
        order = np.argsort(known)
        place = np.searchsorted(known[order], hashes.astype(str))
        filled = hashes.astype(str) != ""
        found = np.zeros((len(texts), vectors.shape[1]), np.float32)
        found[filled] = vectors[order[place[filled]]]
        return found

    def _encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encodes in batches of fixed shapes by length. Otherwise the last bits of a vector would depend on the rest of the batch."""
        tokenizer, encoder = load_tokenizer(self.name), load_encoder(self.name)
        if self.layers is not None:
            encoder.encoder.layer = encoder.encoder.layer[: self.layers]
        # a text's first tokens lie within its first few thousand characters, so a 100 kB text is not read whole
        rows = tokenizer([text[: self.max_tokens * 32] for text in texts], truncation=True, max_length=self.max_tokens)["input_ids"]
        lengths = np.array([len(row) for row in rows])
        widths = np.minimum(-(-lengths // WIDTH_STEP) * WIDTH_STEP, self.max_tokens)
        log.info("encoding %d texts", len(texts))
        vectors = np.zeros((len(texts), encoder.config.hidden_size), np.float32)
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            for width in np.unique(widths):
                same, size = np.flatnonzero(widths == width), TOKENS_AT_ONCE // int(width)
                for begin in range(0, len(same), size):
                    batch = same[begin : begin + size]
                    filled = {"input_ids": [rows[i] for i in np.resize(batch, size)]}
                    padded = tokenizer.pad(filled, padding="max_length", max_length=int(width), return_tensors="pt")
                    vectors[batch] = _pooled(encoder, padded)[: len(batch)]
        finally:
            torch.set_num_threads(before)
        return vectors

    def _cached(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The hashes among `wanted` that are in the cache, and their vectors."""
        hashes, vectors = [np.empty(0, dtype=str)], []
        asked = pa.array(wanted.tolist(), pa.string())
        for file in sorted(self.folder.glob("*.parquet")):
            table = pq.read_table(file)
            table = table.filter(pc.is_in(table["text_hash"], asked))
            if len(table):
                os.utime(file)
                column = table["vector"].combine_chunks()
                hashes.append(np.array(table["text_hash"].to_pylist(), dtype=str))
                vectors.append(column.flatten().to_numpy().reshape(len(table), -1))
        known = np.concatenate(hashes)
        unique, first = np.unique(known, return_index=True)
        return unique, np.concatenate(vectors)[first] if vectors else np.empty((0, 0), np.float32)

    def _keep(self, hashes: np.ndarray, vectors: np.ndarray) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        table = pa.table({"text_hash": pa.array(hashes.tolist(), pa.string()), "vector": column})
        name = hashlib.sha256("".join(hashes.tolist()).encode()).hexdigest()[:16]
        temporary = self.folder / f".{name}.{os.getpid()}"
        pq.write_table(table, temporary, compression="zstd")
        os.replace(temporary, self.folder / f"{name}.parquet")
        for file in self.folder.glob("*.parquet"):
            if file.stat().st_mtime < time.time() - UNUSED_SECONDS:
                file.unlink()


def encoder_id(name: str, max_tokens: int = MAX_TOKENS, layers: int | None = None) -> str:
    """16 hex digits that change with everything that changes the vectors: the encoder's files, the tokens read and the layers run."""
    place = encoder_folder(name)
    digest = hashlib.sha256(f"{max_tokens} {layers} {WIDTH_STEP}".encode())
    if isinstance(place, Path):
        for file in sorted(place.glob("*.json")) + sorted(place.glob("*.safetensors")):
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    else:
        digest.update(place.encode())
    return digest.hexdigest()[:16]


@torch.inference_mode()
def _pooled(encoder: torch.nn.Module, batch: dict[str, torch.Tensor]) -> np.ndarray:
    """(b, d) unit-length means over the tokens of each text."""
    mask = batch["attention_mask"][:, :, None].float()
    hidden = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state.float()
    mean = (hidden * mask).sum(1) / mask.sum(1)
    return torch.nn.functional.normalize(mean, dim=1).numpy()

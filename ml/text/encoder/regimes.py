"""Which weights of an encoder are trained: all of them, its head alone, or small additions of the PEFT library.

| regime | trained | source |
|---|---|---|
| full | all but the token embeddings and the lowest layers | |
| head | the head | |
| lora | rank-8 additions to attention | Hu et al., "LoRA: Low-rank adaptation of large language models", 2022 |
| adalora | the same, with ranks that are allocated while training | Zhang et al., "AdaLoRA: Adaptive budget allocation", 2023 |
| prefix | 16 virtual tokens before every layer's keys and values | Li and Liang, "Prefix-tuning", 2021 |
| adapters | scales of keys, values and inner activations (IA3) | Liu et al., "Few-shot parameter-efficient fine-tuning", 2022 |
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

Regime = Literal["full", "lora", "adalora", "prefix", "adapters", "head"]

HEAD = "classifier"
EMBEDDINGS = re.compile(r"(^|\.)embeddings\.")
ADDED = re.compile(r"lora_|ia3_|prompt_encoder|modules_to_save")
LAYER = re.compile(r"\.layers?\.(\d+)\.")
FROZEN_SHARE = 1 / 3  # of the layers, the lowest, which represent words and not opinions; training them costs a fifth of the time
# New weights start from nothing. Their learning rate is this many times that of pretrained layers.
PACE: dict[Regime, float] = {"full": 1, "head": 100, "lora": 30, "adalora": 100, "prefix": 200, "adapters": 100}
RANK = 8
PREFIX_TOKENS = 16
ADAPTERS_FILE = "adapter_model.safetensors"


def adapt(model: Any, regime: Regime) -> Any:
    """The classifier `model` with the weights that `regime` trains requiring gradients, wrapped by PEFT where there are additions."""
    if regime == "full":
        layers = 1 + max((int(found[1]) for name, _ in model.named_parameters() if (found := LAYER.search(name))), default=-1)
        for name, weight in model.named_parameters():
            found = LAYER.search(name)
            weight.requires_grad = not (EMBEDDINGS.search(name) or (found and int(found[1]) < round(FROZEN_SHARE * layers)))
        return model
    if regime == "head":
        for name, weight in model.named_parameters():
            weight.requires_grad = name.startswith(f"{HEAD}.")
        return model
    from peft import get_peft_model

    return get_peft_model(model, _additions(regime))


def begin_allocating(model: Any, steps: int) -> bool:
    """Tell AdaLoRA the number of steps; False where its ranks were allocated in an earlier training and stay."""
    plan = model.peft_config[model.active_adapter]
    if plan.rank_pattern is not None or steps < 10:
        return False
    plan.tinit, plan.tfinal, plan.deltaT = steps // 10, steps // 3, max(1, steps // 100)
    model.base_model.rankallocator.set_total_step(steps)
    return True


def finish_allocating(model: Any) -> None:
    """Drop the ranks that AdaLoRA removed, as saving does, so that the model in memory equals the saved one."""
    plan = model.peft_config[model.active_adapter]
    model.base_model.resize_modules_by_rank_pattern(plan.rank_pattern, model.active_adapter)
    _train_additions(model)


def merged(model: Any, regime: Regime) -> Any:
    """The model with its additions merged into the weights, which changes no output and makes scoring faster; a prefix stays."""
    return model.merge_and_unload() if regime in ("lora", "adalora", "adapters") else model


def load_adapters(model: Any, folder: Path, regime: Regime) -> Any:
    """PEFT's model around `model` with the additions saved in `folder`, for scoring or further training.

    Raises:
        FileNotFoundError: there is no safetensors file of additions; nothing else is loaded.
    """
    from peft import PeftModel

    if not (folder / ADAPTERS_FILE).is_file():
        raise FileNotFoundError(f"no {ADAPTERS_FILE} in {folder}")
    loaded = PeftModel.from_pretrained(model, str(folder), is_trainable=regime != "prefix")
    _train_additions(loaded)  # PEFT itself refuses to continue training a prefix
    return loaded


def _train_additions(model: Any) -> None:
    for name, weight in model.named_parameters():
        weight.requires_grad = bool(ADDED.search(name))


def _additions(regime: Regime) -> Any:
    from peft import AdaLoraConfig, IA3Config, LoraConfig, PrefixTuningConfig

    if regime == "lora":
        return LoraConfig(task_type="SEQ_CLS", r=RANK, lora_alpha=2 * RANK, lora_dropout=0.05, modules_to_save=[HEAD])
    if regime == "adalora":
        # `begin_allocating` sets the step counts
        return AdaLoraConfig(
            task_type="SEQ_CLS",
            init_r=RANK + RANK // 2,
            target_r=RANK,
            lora_alpha=2 * RANK,
            lora_dropout=0.05,
            tinit=0,
            tfinal=0,
            total_step=1,
            modules_to_save=[HEAD],
        )
    if regime == "prefix":
        return PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=PREFIX_TOKENS)
    return IA3Config(task_type="SEQ_CLS", modules_to_save=[HEAD])

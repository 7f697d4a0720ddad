"""A classifier on the mean of an encoder's token vectors, as sentence encoders were pretrained, and not on its first token.

It is called like transformers' own classifiers, so that its pipeline and the PEFT library accept it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from ml.text.encoder.pretrained import load_encoder

HEAD_DROPOUT = 0.1
FILE = "model.safetensors"


class MeanPooledClassifier(PreTrainedModel):
    """Encoder, mean over the tokens of a text (Reimers and Gurevych, "Sentence-BERT", 2019), dropout, one dense layer.

    Attributes:
        encoder: transformers' encoder without its own pooling layer.
        classifier: the head.
    """

    config_class = PretrainedConfig
    base_model_prefix = "encoder"
    _supports_sdpa = True

    def __init__(self, config: Any, encoder: Any) -> None:
        super().__init__(config)
        if hasattr(encoder, "pooler"):
            encoder.pooler = None
        self.encoder = encoder
        self.dropout = torch.nn.Dropout(HEAD_DROPOUT)
        self.classifier = torch.nn.Linear(config.hidden_size, config.num_labels)

    @classmethod
    def start(cls, encoder: str, outputs: Sequence[str]) -> MeanPooledClassifier:
        """Encoder `encoder` (see `encoder_folder`) with a new head over `outputs`, which is initialised by torch's seed."""
        loaded = load_encoder(encoder)
        loaded.config.id2label = dict(enumerate(outputs))
        loaded.config.label2id = {name: number for number, name in enumerate(outputs)}
        return cls(loaded.config, loaded)

    @classmethod
    def load(cls, folder: Path) -> MeanPooledClassifier:
        """The classifier as `save_pretrained` left it, from safetensors alone."""
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        model = cls(config, AutoModel.from_config(config, trust_remote_code=False))
        model.load_state_dict(load_file(folder / FILE))
        return model

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        past_key_values: Any = None,
        **options: Any,
    ) -> SequenceClassifierOutput:
        """Logits (b, outputs) of (b, t) tokens, and the loss where there are `labels`.

        Args:
            attention_mask: (b, t), or (b, prefix + t) where PEFT puts virtual tokens before each text; None without padding.
            labels: (b, outputs) target of each output times the weight of the text; the loss is the mean cross-entropy.
            past_key_values: keys and values of virtual tokens.
        """
        options["return_dict"] = True
        if past_key_values is not None:  # not every encoder accepts it
            options["past_key_values"] = past_key_values
        hidden = self.encoder(input_ids, attention_mask=attention_mask, **options)[0].float()
        if attention_mask is None:
            pooled = hidden.mean(dim=1)
        else:
            mask = attention_mask[:, -hidden.shape[1] :, None].float()
            pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        logits = self.classifier(self.dropout(pooled))
        loss = None if labels is None else -(labels * logits.float().log_softmax(dim=1)).sum(dim=1).mean()
        return SequenceClassifierOutput(loss=loss, logits=logits)

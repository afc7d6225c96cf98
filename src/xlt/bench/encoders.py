"""One encoder of random weights under our model and under the classes people use: both compute with the same tensors."""

from __future__ import annotations

from typing import Any

import adapters
import torch
from torch import nn
from transformers import XLMRobertaConfig, XLMRobertaForQuestionAnswering, XLMRobertaForSequenceClassification
from transformers import XLMRobertaModel as Encoder

from xlt.bench.inputs import CLASSES
from xlt.bench.settings import Bench, Family
from xlt.config.regimes import Bottleneck, Full
from xlt.families import SUPERVISED
from xlt.modeling.composition import TASK
from xlt.modeling.model import TransferModel
from xlt.modeling.tuning import attach

FAMILY = {"nli": "classification", "squad": "span"}
SPREAD = 3.0
"""Factor on the drawn word embeddings, as wide as a trained encoder's, so that inputs differ in their scores."""


def encoder_config(bench: Bench) -> XLMRobertaConfig:
    """The encoder's config. A quick bench has no dropout, so that losses can be compared."""
    dropout = 0.0 if bench.quick else 0.1
    return XLMRobertaConfig(
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=CLASSES,
        **bench.shape,
    )


def make_ours(bench: Bench, family: Family, *, adapter: bool = False) -> TransferModel:
    """Our model as ``build_model`` makes it, of random weights."""
    config = encoder_config(bench)
    torch.manual_seed(0)
    encoder = Encoder(config, add_pooling_layer=False)
    with torch.no_grad():
        encoder.embeddings.word_embeddings.weight.mul_(SPREAD)
    tuning = Bottleneck(kind="bottleneck", reduction_factor=bench.config.adapter_reduction)
    attach(encoder, tuning if adapter else Full(kind="full"))
    torch.manual_seed(1)
    head = SUPERVISED[FAMILY[family]].head(config.hidden_size, CLASSES, config.hidden_dropout_prob)
    return TransferModel(encoder, head, SUPERVISED[FAMILY[family]], "mean")


def make_theirs(ours: TransferModel) -> nn.Module:
    """The class of transformers for the same task on the encoder and head of ``ours``: no tensor is copied."""
    kind: Any = XLMRobertaForQuestionAnswering if ours.family.name == "span" else XLMRobertaForSequenceClassification
    with torch.device("meta"):
        theirs: Any = kind(ours.encoder.config)
    theirs.roberta = ours.encoder
    if ours.family.name == "span":
        theirs.qa_outputs = ours.head.get_submodule("out")
    else:
        theirs.classifier.dense = ours.head.get_submodule("dense")
        theirs.classifier.out_proj = ours.head.get_submodule("out")
    return theirs  # type: ignore[no-any-return]


def make_library_adapter(bench: Bench) -> Any:
    """A model of the adapters library with an adapter of the same size as ours."""
    theirs: Any = XLMRobertaForSequenceClassification(encoder_config(bench))
    adapters.init(theirs)
    theirs.add_adapter(TASK, config=adapters.SeqBnConfig(reduction_factor=bench.config.adapter_reduction))
    theirs.train_adapter(TASK)
    return theirs


def copy_weights(ours: TransferModel, theirs: nn.Module) -> None:
    """Give the adapters library's model all weights of ours."""
    state = {f"roberta.{name}": value for name, value in ours.encoder.state_dict().items()}
    head = {name.replace("out.", "out_proj."): value for name, value in ours.head.state_dict().items()}
    theirs.load_state_dict(state | {f"classifier.{name}": value for name, value in head.items()})

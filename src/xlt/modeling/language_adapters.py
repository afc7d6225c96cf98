"""Language adapters of MAD-X: bottleneck adapters in every layer and an invertible one after the embeddings.

(Pfeiffer et al. 2020, sections 4.1 and 4.2.) A folder of one holds the files of the adapters library's own format in
safetensors and, written last, ``adapter.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import adapters
from torch import Tensor, nn

from xlt.config.run_config import LanguageAdapterSettings
from xlt.errors import InputError
from xlt.files import read_json, sha256_file
from xlt.layout import ADAPTER
from xlt.modeling.composition import prepare_for_adapters

ADAPTER_WEIGHTS = "adapter.safetensors"
ADAPTER_CONFIG = "adapter_config.json"


def adapter_name(language: str) -> str:
    """The name under which a language's adapter is in a model; the adapters library allows no dots in it."""
    return f"language-{language}"


def add_language_adapter(
    encoder: nn.Module, language: str, settings: LanguageAdapterSettings
) -> dict[str, nn.Parameter]:
    """Add a fresh language adapter to ``encoder``, freeze everything else and make it active.

    Returns:
        The parameters of the adapter by name: what is trained.
    """
    model: Any = encoder
    prepare_for_adapters(model)
    config = adapters.SeqBnInvConfig(
        reduction_factor=settings.reduction_factor,
        inv_adapter_reduction_factor=settings.invertible_reduction_factor,
    )
    model.add_adapter(adapter_name(language), config=config)
    model.train_adapter(adapter_name(language))
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def save_language_adapter(encoder: Any, language: str, folder: Path) -> None:
    """Write the adapter of ``language`` to ``folder`` as safetensors."""
    encoder.save_adapter(str(folder), adapter_name(language), use_safetensors=True)


def load_language_adapter(encoder: Any, language: str, folder: Path) -> None:
    """Load a language's adapter, frozen; the active set-up stays as it is.

    Raises:
        InputError: it is absent or damaged, or does not fit the encoder.
    """
    check_language_adapter(folder)
    add_saved_adapter(encoder, adapter_name(language), folder, str(folder))


def add_saved_adapter(encoder: Any, name: str, folder: Path, where: str) -> None:
    """Load the adapter saved in ``folder`` (safetensors) as ``name``, frozen; ``where`` names it in errors."""
    prepare_for_adapters(encoder)
    info: dict[str, Any] = {}
    try:
        encoder.load_adapter(str(folder), load_as=name, set_active=False, use_safetensors=True, loading_info=info)
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{where}: expected an adapter that fits the encoder: {reason}") from None
    if info.get("missing_keys"):
        raise InputError(f"{where}: expected an adapter that fits the encoder, no tensor {info['missing_keys'][0]}")
    for own, parameter in encoder.named_parameters():
        if f".{name}." in own:
            parameter.requires_grad_(False)


def check_language_adapter(folder: Path) -> str:
    """The SHA-256 of an adapter's weights, checked against the file.

    Raises:
        InputError: the adapter is absent or damaged.
    """
    weights = folder / ADAPTER_WEIGHTS
    if not (folder / ADAPTER).exists() or not weights.exists():
        raise InputError("expected a language adapter; run make language-adapters first", folder)
    found = str(read_json(folder / ADAPTER)["weights_sha256"])
    if sha256_file(weights) != found:
        raise InputError("expected the weights named in adapter.json; make language-adapters makes it again", weights)
    return found


def adapter_hashes(folders: Mapping[str, Path]) -> dict[str, str]:
    """The SHA-256 of the weights of each language's adapter, from its ``adapter.json``."""
    return {language: str(read_json(folder / ADAPTER)["weights_sha256"]) for language, folder in folders.items()}


def adapter_state(encoder: Any, language: str) -> dict[str, Tensor]:
    """The tensors of a language's adapter in ``encoder``, by name."""
    name = f".{adapter_name(language)}."
    return {own: tensor for own, tensor in encoder.state_dict().items() if name in own}

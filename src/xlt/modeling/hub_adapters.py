"""Ready-made language adapters from the hub (AdapterHub's), brought into this project's form: safetensors, one name.

AdapterHub's repositories of MAD-X adapters hold ``adapter_config.json`` and ``pytorch_adapter.bin``, a pickle. It is read by
torch's restricted unpickler (``weights_only``), which builds tensors and nothing else; whatever else is in it is refused.
Safetensors are taken where a repository has them.
"""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from pathlib import Path
from typing import Any

from xlt.config.run_config import HubAdapter
from xlt.data.download.hub import hub_snapshot
from xlt.data.download.transfer import Unavailable
from xlt.errors import InputError
from xlt.modeling.language_adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_name, add_saved_adapter

PICKLED = "pytorch_adapter.bin"


def fetch_language_adapter(encoder: Any, language: str, source: HubAdapter) -> str:
    """Download a language adapter, load it into ``encoder`` under this project's name, and say where it came from.

    Raises:
        InputError: it cannot be had, holds anything but tensors, has no invertible adapter or does not fit the encoder.
    """
    snapshot = _download(source)
    config = json.loads((snapshot / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    if not config.get("config", {}).get("inv_adapter"):
        raise InputError(f"hub {source.hub}: expected a MAD-X language adapter, got one without an invertible adapter")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config["name"] = config.get("name") or language
        (folder / ADAPTER_CONFIG).write_text(json.dumps(config), encoding="utf-8")
        pickled = _as_safetensors(snapshot, folder, source)
        add_saved_adapter(encoder, adapter_name(language), folder, f"hub {source.hub}")
    form = " (pickled tensors, read with weights_only)" if pickled else ""
    return f"hub {source.hub}@{snapshot.name}{form}"


def _download(source: HubAdapter) -> Path:
    """The snapshot of a repository in the hub's own cache: a folder named after the commit."""
    names = [ADAPTER_CONFIG, ADAPTER_WEIGHTS, PICKLED]
    where = f"hub {source.hub}@{source.revision or 'main'}"
    try:
        snapshot = hub_snapshot(source.hub, source.revision, names)
    except Unavailable as reason:
        raise InputError(f"{where}: {reason}") from None
    if not (snapshot / ADAPTER_CONFIG).exists() or not any((snapshot / name).exists() for name in names[1:]):
        raise InputError(f"{where}: expected {ADAPTER_CONFIG} with {ADAPTER_WEIGHTS} or {PICKLED}; not there")
    return snapshot


def _as_safetensors(snapshot: Path, folder: Path, source: HubAdapter) -> bool:
    """Put the adapter's weights into ``folder`` as safetensors; says whether they were a pickle."""
    import torch
    from safetensors.torch import save_file

    if (snapshot / ADAPTER_WEIGHTS).exists():
        shutil.copyfile(snapshot / ADAPTER_WEIGHTS, folder / ADAPTER_WEIGHTS)
        return False
    try:
        state = torch.load(snapshot / PICKLED, map_location="cpu", weights_only=True)
        tensors = {name: tensor.float().contiguous() for name, tensor in state.items()}
    except (pickle.UnpicklingError, AttributeError, RuntimeError, EOFError):
        raise InputError(f"hub {source.hub}: expected nothing but tensors in {PICKLED}; refused") from None
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    return True

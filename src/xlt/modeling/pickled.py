"""Pickled weights as safetensors, in a process of their own: ``python -m xlt.modeling.pickled <folder of pickles> <file>``.

torch's restricted unpickler (``weights_only``) builds tensors and nothing else. Whatever it may still do to its process, that
process has nothing to lose: it writes one file, which is then read and checked like any other.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlt.errors import InputError, exit_status
from xlt.files import sha256_file

PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
"""The pickled weights of a checkpoint: one file, or the shards of a large model."""


def pickles_of(folder: Path) -> list[Path]:
    """The pickled weight files of a checkpoint's folder."""
    return sorted(path for pattern in PICKLES for path in folder.glob(pattern))


def convert(source: Path, target: Path) -> dict[str, str]:
    """Write the pickled weights in the folder ``source`` as the safetensors file ``target``.

    Returns:
        The SHA-256 of each pickle, by its name.

    Raises:
        InputError: they hold anything but tensors, in one line.
    """
    hashes = {path.name: sha256_file(path) for path in pickles_of(source)}
    command = [sys.executable, "-m", "xlt.modeling.pickled", str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise InputError(last.removeprefix("error: "))
    return hashes


def main() -> None:
    """What the other process does."""
    import torch
    from safetensors.torch import save_file

    source, target = map(Path, sys.argv[1:])
    found: dict[str, torch.Tensor] = {}
    for path in pickles_of(source):
        try:
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, AttributeError, RuntimeError, EOFError):
            raise InputError(f"expected nothing but tensors in {path.name}; refused") from None
        if not isinstance(state, Mapping) or not all(isinstance(each, torch.Tensor) for each in state.values()):
            raise InputError(f"expected a mapping of names to tensors in {path.name}; refused")
        found |= {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}  # tied ones: twice
    save_file(found, target, {"format": "pt"})


if __name__ == "__main__":
    sys.exit(exit_status(main))

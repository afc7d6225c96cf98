"""Which adapters of an encoder are active together, in which order (the blocks of the adapters library)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import adapters
from adapters.composition import Fuse, Stack
from adapters.methods.bottleneck import hook_fn
from torch import nn

from xlt.modeling.architectures import Architecture, architecture_of

TASK = "task"
"""The name of the trained task adapter; the same for every task, so that ``continue`` passes it on."""


def prepare_for_adapters(encoder: Any) -> None:
    """Let the adapters library put adapters into an encoder: by its own classes, or by its plug-in interface.

    Two faults of the library's (1.3.0) plug-in interface are mended: a joint query-key-value matrix without bias is given a
    random one, and the adapters of all layers are given the layer norm of the last.
    """
    architecture = architecture_of(encoder.config)
    plug_in = None if architecture.plug_in is None else adapters.AdapterModelInterface(METHODS, **architecture.plug_in)
    bare = [name for name, each in encoder.named_modules() if isinstance(each, nn.Linear) and each.bias is None]
    adapters.init(encoder, interface=plug_in)
    for name in bare:
        encoder.get_submodule(name).bias = None
    if plug_in is not None:
        for layer in encoder.get_submodule(architecture.layers):
            _own_norms(layer, architecture)


METHODS = ["bottleneck", "lora", "reft", "invertible"]
"""What the plug-in interface can do."""


def _own_norms(layer: nn.Module, architecture: Architecture) -> None:
    """Give the adapters that hang on a layer that layer's norms."""
    for module in layer.modules():
        for key, hook in module._forward_hooks.items():
            if isinstance(hook, partial) and hook.func is hook_fn:
                which = "layer_ln_1" if hook.args[0] is layer.attention_adapters else "layer_ln_2"
                norm = (architecture.plug_in or {}).get(which)
                own = None if norm is None else layer.get_submodule(norm)
                module._forward_hooks[key] = partial(hook_fn, hook.args[0], lambda own=own: own)


@dataclass(frozen=True)
class Composition:
    """The adapters of one regime.

    ``languages``: name of the language adapter by language. ``source``: the language of the training data. ``missing``:
    what serves a language without one: ``source``, ``none`` or ``refuse``. ``below``: frozen intermediate adapters,
    lowest first. ``fused``: adapters combined by AdapterFusion in place of the task adapter.
    """

    languages: Mapping[str, str] = field(default_factory=dict)
    source: str = "en"
    missing: str = "source"
    below: tuple[str, ...] = ()
    fused: tuple[str, ...] = ()

    def active(self, language: str) -> Any:
        """The active set-up for text in ``language``: language adapter, stacked ones, task adapter or fusion."""
        top = Fuse(*self.fused) if self.fused else TASK
        stacked = [*self.language_part(language), *self.below, top]
        return stacked[0] if len(stacked) == 1 else Stack(*stacked)

    def language_part(self, language: str) -> list[str]:
        """The language adapter for ``language`` (or what serves it), as a list of none or one.

        An input in two languages ("de-fr") is read with the first one's adapter: that of sentence 1 or of the passage.
        """
        for code in (language, language.partition("-")[0]):
            if code in self.languages:
                return [self.languages[code]]
        if self.languages and self.missing == "source":
            return [self.languages[self.source]]
        return []

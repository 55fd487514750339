"""Seeing a loop clip its gradients: torch's two functions, watched while something is recorded."""

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Listener = Callable[[str, Sequence[Tensor], float, float], None]
"""Called after a clipping with its kind, the parameters, the limit and the norm's type."""

WATCHED: dict[str, Callable[..., Any]] = {
    name: getattr(torch.nn.utils, name) for name in ("clip_grad_norm_", "clip_grad_value_")
}
LIMIT = {"clip_grad_norm_": "max_norm", "clip_grad_value_": "clip_value"}

_listeners: list[Listener] = []
_replaced: list[tuple[dict[str, Any], str, str]] = []


def listen(listener: Listener) -> None:
    """Call ``listener`` after each clipping; the functions are replaced wherever a module has them by name."""
    if not _listeners:
        wrappers = {id(original): (kind, _watching(kind)) for kind, original in WATCHED.items()}
        for module in list(sys.modules.values()):
            names: dict[str, Any] = getattr(module, "__dict__", {})
            for name, value in list(names.items()):
                if id(value) in wrappers:
                    kind, names[name] = wrappers[id(value)]
                    _replaced.append((names, name, kind))
    _listeners.append(listener)


def stop(listener: Listener) -> None:
    """Listen no longer; with the last one gone torch's own functions are back."""
    if listener in _listeners:
        _listeners.remove(listener)
    if not _listeners:
        for names, name, kind in _replaced:
            if getattr(names.get(name), "__wrapped__", None) is WATCHED[kind]:
                names[name] = WATCHED[kind]
        _replaced.clear()


def _watching(kind: str) -> Callable[..., Any]:
    original = WATCHED[kind]
    signature = inspect.signature(original)

    @functools.wraps(original)
    def watching(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        result = original(given, *args, **kwargs)
        call = signature.bind(given, *args, **kwargs).arguments
        for listener in list(_listeners):
            listener(kind, given, float(call[LIMIT[kind]]), float(call.get("norm_type", 2.0)))
        return result

    return watching

"""Every string of a report replaced by one that would act if a page let it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

# Closes whatever it may stand in, then marks the document in five ways.
ACT = "document.documentElement.setAttribute('data-owned','1')"
PAYLOAD = (
    f"\"'></title></style></code></bdi><script>{ACT}</script><img src=x onerror=\"{ACT}\">"
    f"<svg onload=\"{ACT}\"></svg><details open ontoggle=\"{ACT}\"></details>{{{{ 7*7 }}}}{{% raw %}}"
    "$\\frac{ &lt; \x00\x1b[31m\x9b\ud800\u202e"
)  # fmt: skip


def hostile(thing: Any) -> Any:
    """The same thing with PAYLOAD in place of every string, however deep."""
    if isinstance(thing, str):
        return PAYLOAD
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        fields = {f.name: hostile(getattr(thing, f.name)) for f in dataclasses.fields(thing)}
        return type(thing)(**fields)
    if isinstance(thing, Mapping):
        return {PAYLOAD + key: hostile(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return type(thing)(hostile(item) for item in thing)
    return thing

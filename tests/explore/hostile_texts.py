"""Sentences that would act if a page let them, with words of the tests among them."""

ACT = "document.title='owned'"
TEXTS = [
    f"waa <script>{ACT}</script> wab wai",
    f'</title></style></bdi><img src=x onerror="{ACT}"> waa wab wai',
    f"waa \"'><svg onload={ACT}> wae waj",
    "waa \u202egnirts\u202c \u2066wab\u2069 \u200f waj",
    "{{7*7}} ${waa} javascript:alert(1) wab wai",
    "=cmd|' /C calc'!A0 waa wab wai",
]

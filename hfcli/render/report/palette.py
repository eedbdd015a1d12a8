"""The colours of pages and charts, for light and for dark, in one place.

Every text colour has a contrast of at least 4.5 to every colour it may stand on (WCAG 2.1 AA);
tests compute it. Knows nothing about what is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Palette:
    """One scheme, as `#rrggbb`.

    Args:
        surface: behind everything; `panel` behind what is set apart.
        ink: text; `muted` is text that matters less.
        rule: lines of tables and grids, which carry no meaning.
        accent: links and the focus ring; `first`, `second`, `third` are the colours of data.
        heat: a full cell of a heat map; `ink` is written on it.
    """

    surface: str
    panel: str
    ink: str
    muted: str
    rule: str
    accent: str
    first: str
    second: str
    third: str
    heat: str


LIGHT = Palette(
    surface="#ffffff",
    panel="#f4f6f8",
    ink="#15191e",
    muted="#55606c",
    rule="#d8dde3",
    accent="#1257a8",
    first="#1f6fc4",
    second="#b4501a",
    third="#2a7d4f",
    heat="#5c9fe0",
)
DARK = Palette(
    surface="#14181d",
    panel="#1c2229",
    ink="#e9ecef",
    muted="#a5afba",
    rule="#363f49",
    accent="#8cbcf2",
    first="#6aaaf0",
    second="#f0a06c",
    third="#7ccb9b",
    heat="#215f9f",
)
NAMES = tuple(field.name for field in fields(Palette))
# Colours that no one would choose: drawn with these, a chart can be given another palette later.
SLOTS = Palette(*(f"#0bad{i:02x}" for i in range(len(NAMES))))

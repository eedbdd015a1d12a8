"""A plot function -> one chart as a PNG (light) and as an SVG that follows the page's colours.

The SVG is drawn in the colours of `palette.SLOTS`, each of which then becomes a CSS variable; so
one drawing serves both schemes. Its text stays text. Knows nothing about what is plotted.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from hfcli.render.report.blocks import Chart
from hfcli.render.report.palette import LIGHT, NAMES, SLOTS, Palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Plot = Callable[["Figure", Palette], None]
DPI = 160
PIXELS = 1.25  # of the page a point: text of 9.5 points as large as the page's small print
# Where the first lacks a letter, the next that is there has it; an SVG has the page's fonts.
FONTS = (
    "DejaVu Sans",
    *(
        "Noto Sans CJK SC",
        "Noto Sans CJK JP",
        "WenQuanYi Zen Hei",
        "Microsoft YaHei",
        "PingFang SC",
    ),
    *("Yu Gothic", "Hiragino Sans", "Malgun Gothic", "Noto Sans Devanagari", "Arial Unicode MS"),
)
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
VARIABLES = {getattr(SLOTS, name): f"var(--{name})" for name in NAMES}
SLOT = re.compile("|".join(VARIABLES))


def chart(
    *, name: str, title: str, description: str, size: tuple[float, float], plot: Plot
) -> Chart:
    """Draw once for the PNG and once for the SVG.

    Args:
        name: file name without its end, and prefix of ids; letters, digits and `_`.
        description: what a reader who cannot see the picture should know.
        size: width and height in inches.
        plot: draws into the figure with the palette's colours only.
    """
    png = _draw(name, size, plot, LIGHT, "png")
    svg = _draw(name, size, plot, SLOTS, "svg")
    return Chart(
        name=name,
        title=title,
        description=description,
        svg=_themed(svg.decode("utf-8"), name, title, description),
        png=png,
    )


def _draw(
    name: str, size: tuple[float, float], plot: Plot, palette: Palette, file_format: str
) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    # Fonts that come in one weight are no news for whoever reads a report.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    buffer = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A label in a script that no font here has: the table beside the chart has it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        matplotlib.rcdefaults()  # whatever the user's matplotlibrc says
        matplotlib.rcParams.update(_style(palette, name))
        # A Figure without pyplot has no window, and no state that outlives it.
        figure = Figure(figsize=size, layout="constrained")
        plot(figure, palette)
        background = palette.surface if file_format == "png" else "none"
        no_date = {"Date": None} if file_format == "svg" else {"Software": None}
        figure.savefig(
            buffer,
            format=file_format,
            dpi=DPI,
            facecolor=background,
            metadata=no_date,
            bbox_inches="tight",
            pad_inches=0.12,
        )
    return buffer.getvalue()


def _style(palette: Palette, name: str) -> dict[Any, Any]:
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return {
        "font.family": [name for name in FONTS if name in installed],
        "font.size": 9.5,
        "text.color": palette.ink,
        "text.parse_math": False,  # a label may hold dollar signs
        "axes.edgecolor": palette.rule,
        "axes.facecolor": "none",
        "axes.labelcolor": palette.muted,
        "axes.titlelocation": "left",
        "axes.titlesize": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": palette.rule,
        "grid.linewidth": 0.6,
        "xtick.color": palette.rule,
        "ytick.color": palette.rule,
        "xtick.labelcolor": palette.muted,
        "ytick.labelcolor": palette.muted,
        "lines.linewidth": 1.6,
        "lines.markersize": 4,
        "lines.solid_joinstyle": "round",
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": name,  # ids that differ between charts and not between runs
    }


def _themed(svg: str, name: str, title: str, description: str) -> str:
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            # matplotlib's style sheet would reach the whole page.
            if child.tag in (f"{SVG}metadata", f"{SVG}style"):
                parent.remove(child)
    for element in root.iter():
        _rewrite(element)
    for key in ("height", "version"):
        root.attrib.pop(key, None)
    points = float(root.attrib["width"].removesuffix("pt"))
    root.set("width", f"{points * PIXELS:.0f}")  # the height follows by CSS
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-description")
    for i, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, id=f"{name}-{'description' if i else tag}")
        element.text = text
        root.insert(i, element)
    return ElementTree.tostring(root, encoding="unicode")


def _rewrite(element: ElementTree.Element) -> None:
    """Names without their namespace, links without xlink, slots as variables, the page's font."""
    element.tag = element.tag.removeprefix(SVG)
    if LINK in element.attrib:
        element.set("href", element.attrib.pop(LINK))
    if element.tag == "g":
        element.attrib.pop("id", None)  # `figure_1` would be there once a chart
    for key, value in element.attrib.items():
        value = SLOT.sub(lambda found: VARIABLES[found[0]], value)
        element.set(key, re.sub(r"'DejaVu Sans'.*?(?=;|$)", "system-ui, sans-serif", value))

"""Parts of drawings."""

from html import escape


def svg_text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    """A text whose middle line is at y; its style is that of the page's class."""
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}" dominant-baseline="central"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'

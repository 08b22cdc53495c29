"""A page of drawn pairs: faces to look at, and lines to listen to."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from facevc_cli.files.atomic import write_text
from facevc_cli.imagining.sheet import PAIR_SENTENCE

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #222; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.5rem; }}
figure {{ margin: 0; }} img, audio {{ width: 100%; }} img {{ border-radius: .5rem; }}
figcaption {{ color: #555; }}
</style></head><body>
<h1>{title}</h1>
<p>{sentence}</p>
<main>
{figures}
</main>
</body></html>
"""
_FIGURE = """<figure><img src="{picture}" alt="{caption}">{sound}<figcaption>{caption}</figcaption></figure>"""


@dataclass(frozen=True)
class ShownPair:
    """Files by their names beside the page. sound: empty if there is none."""

    picture: str
    sound: str
    caption: str


def write_pair_page(path: Path, title: str, pairs: Sequence[ShownPair]) -> None:
    """Writes the page. It loads nothing but the files beside it."""
    figures = [
        _FIGURE.format(
            picture=quote(pair.picture),
            sound=f'<audio controls preload="none" src="{quote(pair.sound)}"></audio>' if pair.sound else "",
            caption=html.escape(pair.caption),
        )
        for pair in pairs
    ]
    write_text(
        path, _PAGE.format(title=html.escape(title), sentence=html.escape(PAIR_SENTENCE), figures="\n".join(figures))
    )

"""Keeps a sample as it is unless something changed: a new run id or another millisecond is no reason for a new file."""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image, ImageChops

VOLATILE = re.compile(
    r"\d{8}-\d{6}-\w+"  # a run's id
    r"|\d{4}-\d\d-\d\dT[\d:.]+Z?|\d{4}-\d\d-\d\d \d\d:\d\d"  # a moment
    r"|\d+(?:\.\d+)?(?=\s?(?:ms|s|min)\b)|\d+\.\d(?=</td>)"  # how long something took
    r"|\d+\.\d{2,}|\d+e-\d+"  # what a chart draws of it
    r"|(?<=sha256-)[\w+/]+=*|\b[0-9a-f]{12,64}\b"  # digests of the above
    r'|"bdata":"[^"]*"'
)
COLOURS = 64
NOISE = 24  # of 255, in one channel: what fewer colours do to one and the same pixel


def keep_page(text: str, path: Path) -> None:
    """Write a page unless the one that is there says the same but for times, ids and digests."""
    if not path.exists() or settled(path.read_text(encoding="utf-8")) != settled(text):
        path.write_text(text, encoding="utf-8")


def settled(text: str) -> str:
    """Return a page's text without what differs from run to run."""
    return VOLATILE.sub("…", text)


def keep_picture(picture: bytes, path: Path) -> None:
    """Write a picture in few colours unless the one that is there shows the same."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    few = image.quantize(colors=COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    if path.exists() and same(few.convert("RGB"), Image.open(path).convert("RGB")):
        return
    few.save(path, optimize=True)


def same(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures differ by no more than fewer colours make them."""
    if one.size != other.size:
        return False
    return max(high for _, high in ImageChops.difference(one, other).getextrema()) <= NOISE

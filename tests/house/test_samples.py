"""The samples are small, and a new one is written only where something changed."""

from __future__ import annotations

import io
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "reports" / "samples"
KEEP = runpy.run_path(str(SAMPLES / "keep.py"))


def test_pictures_are_small() -> None:
    """All pictures of the repository together stay under 1.5 MB."""
    pictures = [path for path in ROOT.rglob("*.png") if not {".venv", "site"} & set(path.parts)]
    assert pictures
    assert sum(path.stat().st_size for path in pictures) <= 1_500_000


@pytest.mark.parametrize(
    ("change", "written"),
    [
        (("20261127-195835-4k8yy2", "20261128-070000-aaaaaa"), False),
        (("854 ms", "1,2 s"), False),
        (("completed", "failed"), True),
    ],
)
def test_a_page_is_kept_unless_it_says_something_else(tmp_path: Path, change: tuple[str, str], written: bool) -> None:
    """Another run's id and times leave the file alone; another word does not."""
    page = tmp_path / "run.html"
    page.write_text("run 20261127-195835-4k8yy2 completed in 854 ms")
    KEEP["keep_page"](page.read_text().replace(*change).replace("1,2 s", "1.2 s"), page)
    assert (change[1] in page.read_text()) == written


def test_a_picture_is_kept_unless_it_shows_something_else(tmp_path: Path) -> None:
    """The same pixels leave the file alone, others do not, and few colours are kept."""
    from PIL import Image, ImageDraw

    def png(mark: bool) -> bytes:
        image = Image.linear_gradient("L").convert("RGB")
        if mark:
            ImageDraw.Draw(image).rectangle((10, 10, 30, 30), fill="red")
        image.save(found := io.BytesIO(), "PNG")
        return found.getvalue()

    path = tmp_path / "a.png"
    for mark, written in ((False, True), (False, False), (True, True)):
        before = path.read_bytes() if path.exists() else b""
        KEEP["keep_picture"](png(mark), path)
        assert (path.read_bytes() != before) == written
    assert Image.open(path).mode == "P"

"""axe-core, which finds what a page keeps from people who hear it or use the keyboard alone."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Callable

import pytest

PACKAGE = "axe-core@4.14.1"


@pytest.fixture(scope="session")
def violations(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Return a function of a page: its violations that are serious or worse, in the parts that selectors name.

    The package comes through npm's own client; where it cannot be had, the test is skipped with the reason.
    """
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm: install Node.js to hold the pages against axe-core")
    folder = tmp_path_factory.mktemp("axe")
    try:
        done = subprocess.run([npm, "pack", PACKAGE], cwd=folder, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not bring {PACKAGE} within a minute")
    if done.returncode:
        pytest.skip(f"npm cannot bring {PACKAGE}: {done.stderr.strip().splitlines()[-1:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        source = archive.extractfile("package/axe.min.js").read().decode()

    def found(page, *parts: str) -> list[str]:
        page.evaluate(source)
        told = page.evaluate("parts => axe.run(parts.length ? {include: parts.map(p => [p])} : document)", list(parts))
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:160] for node in each['nodes']][:3]}"
            for each in told["violations"]
            if each["impact"] in ("serious", "critical")
        ]

    return found

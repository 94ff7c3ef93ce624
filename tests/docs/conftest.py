"""One warm shell a module of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pages import Shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("home"))
    yield shell
    shell.close()

"""Desk: what every verb of the lab works with: the project's settings, its ledger, its providers."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Self

from nyxlab.engine.records import Run
from nyxlab.engine.store import open_store
from nyxlab.gate.policy import Learned
from nyxlab.lab.replay import ReplayProvider
from nyxlab.providers.base import Provider
from nyxlab.providers.hand import Question, open_questions
from nyxlab.providers.registry import open_provider
from nyxlab.settings import Settings, load_settings


class Desk:
    """A place at one project. ``store`` is a database URL that overrides the settings'."""

    def __init__(self, store: str | None = None, *, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        self._store_url = store  # None: the settings'
        self._store = open_store(store or self.settings.store)
        self._providers: dict[str, Provider] = {}
        self._router: Learned | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for provider in self._providers.values():
            await provider.aclose()
        await self._store.aclose()

    def open(self, ref: str) -> Provider:
        """Return the provider of that name; one object a name, so that connections and a loaded model are shared."""
        if ref not in self._providers:
            replay = {"replay": lambda run: ReplayProvider(run, self.show)}
            self._providers[ref] = open_provider(ref, settings=self.settings, openers=replay)
        return self._providers[ref]

    def questions(self, run: Run) -> list[Question]:
        """Return the questions by hand that wait for those whom a run asks, or whose answers it could not use, the oldest first."""
        named = f"{run.source} {run.options} {self.settings.defaults!r}"
        names = dict.fromkeys(re.findall(r"\bhand:([a-z0-9][a-z0-9_-]*)", named))
        return open_questions(self.settings.root, names, run.pause.reason if run.pause else "")

    async def show(self, run_id: str) -> Run:
        """Return one run as the ledger has it."""
        return await self._store.load(run_id)

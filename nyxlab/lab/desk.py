"""Desk: what every verb works with: the project's settings, its ledger, its providers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike

from nyxlab.engine.records import Run
from nyxlab.engine.store import Store, open_store
from nyxlab.errors import InputRefused, did_you_mean
from nyxlab.gate.policy import Learned
from nyxlab.lab.replay import ReplayProvider
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost
from nyxlab.providers.registry import open_provider
from nyxlab.settings import Settings, load_settings

RUN_ID = re.compile(r"\d{8}-\d{6}-[a-z0-9]{6}")
Paths = str | PathLike[str]
HERE = {"hand", "local", "replay", "script"}  # vendors to whom nothing is sent


class Desk:
    """A place at one project; ``store_url`` is a database URL that overrides the settings' (None: theirs)."""

    def __init__(self, store_url: str | None = None, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        self.store_url = store_url
        self._providers: dict[str, Provider] = {}

    @cached_property
    def store(self) -> Store:
        """The ledger, opened when it is first needed."""
        return open_store(self.store_url or self.settings.store)

    @cached_property
    def router(self) -> Learned | None:
        """The learned router that the settings name; None where they name none."""
        if not self.settings.defaults.router:
            return None
        try:
            from nyxlab.gate.router import load_router  # NumPy, for those who use it
        except ImportError:
            raise InputRefused("a learned router needs NumPy: pip install 'nyxlab[learn]'") from None
        return load_router(self.settings.resolve(self.settings.defaults.router))

    def open(self, ref: str) -> Provider:
        """Return the provider of that name; one object a name, so that connections and a loaded model are shared.

        ``InputRefused`` for a name that is neither ``vendor:model`` nor an alias in the settings.
        """
        if ref not in self._providers:
            replay = {"replay": lambda run: ReplayProvider(run, self.store.load)}
            if ":" not in ref and ref not in self.settings.aliases:
                near = did_you_mean(ref, self.settings.aliases) or ", for example openai:gpt-5.5"
                raise InputRefused(f"'{ref[:80]}' is not a provider; write vendor:model, or a name of [aliases]{near}")
            provider = open_provider(self.settings.aliases.get(ref, ref), settings=self.settings, openers=replay)
            if ref in self.settings.aliases:
                provider.id = ref  # what people are shown
            self._providers[ref] = provider
        return self._providers[ref]

    async def load(self, given: str) -> Run:
        """Return a run by its id, by any beginning of it that no other run has, or as ``last``.

        ``InputRefused`` names the runs that a beginning may mean, or those that are near.
        """
        if RUN_ID.fullmatch(given):
            return await self.store.load(given)
        known = [run.run_id for run in await self.store.runs()]
        found = known[:1] if given == "last" else [run_id for run_id in known if given and run_id.startswith(given)]
        found = [given] if given in found else found
        if len(found) > 1:
            listed = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
            raise InputRefused(f"'{given[:80]}' is the beginning of {len(found)} runs: {listed}; give more of it")
        if not found and not known:
            raise InputRefused(f"no run '{given[:80]}': there is none yet; nyxlab run WORKFLOW starts one")
        if not found:
            near = did_you_mean(given, known) or "; `nyxlab runs` lists them, and `last` is the newest"
            raise InputRefused(f"no run '{given[:80]}'{near}")
        return await self.store.load(found[0])

    def outside(self, costs: Mapping[str, Cost]) -> dict[str, Cost]:
        """Return those of some providers' costs that are of providers to whom text leaves this machine."""
        return {name: cost for name, cost in costs.items() if self.vendor(name) not in HERE}

    def vendor(self, name: str) -> str:
        """Return the vendor, or the endpoint, of a provider or an alias."""
        return self.settings.aliases.get(name, name).partition(":")[0]

    async def aclose(self) -> None:
        """Close what was opened."""
        for provider in self._providers.values():
            await provider.aclose()
        if "store" in self.__dict__:
            await self.store.aclose()


def provider_names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the providers that a caller names, in a list or in text with commas."""
    listed = given.split(",") if isinstance(given, str) else given or ()
    return tuple(stripped for name in listed if (stripped := name.strip()))

"""Lab: the verbs of nyxlab in one object; each is defined in the file that is named after what it is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nyxlab.engine.records import Run
from nyxlab.lab import drafting
from nyxlab.lab.bench import Bench
from nyxlab.lab.gates import Gates
from nyxlab.lab.letters import Letter, read_letter
from nyxlab.lab.plans import Plans
from nyxlab.lab.report import render_letter
from nyxlab.lab.reviews import Paths
from nyxlab.providers.messages import Cost

OnCosts = Callable[[dict[str, Cost]], None]


class Lab(Gates, Plans, Bench):
    """A workbench on one project: its settings, its ledger, its providers.

    Use it as ``async with Lab() as lab``. ``store`` is a database URL that overrides the settings'. Relative paths
    given to its verbs are taken from the project's root (the nearest folder upwards with a ``nyxlab.toml``), so that
    a notebook in ``notebooks/`` and a command at the root mean the same file.
    """

    async def letter(
        self, since: str | None = None, *, providers: str | None = None, on_costs: OnCosts | None = None
    ) -> Letter:
        """Return a letter made of what is recorded ``since`` a date or a run; unless told, since the last letter's end.

        ``providers`` write the sentences that open it; each number, id and name in them must stand in the facts.
        ``on_costs`` hears, before they are sent anything, what each may cost.
        """

        async def ask(prompt: str) -> Run:
            if on_costs:
                on_costs(self.forecast_comparison(prompt, providers=providers or ""))
            return await self.compare(prompt, providers=providers or "")

        return await drafting.write(self._store, self.settings.root, since, ask if providers else None)

    async def look_up(self, letter: Letter) -> tuple[list[str], list[bool]]:
        """Hold a letter against the ledger, the files and git: what is wrong in it, and which next steps are done."""
        return await drafting.look_up(letter, self._store, self.settings.root)

    async def report(self, target: Paths) -> str:
        """Return one HTML page for a run (its id), a review (its JSON), an executed notebook or a letter (Markdown)."""
        path = self.settings.resolve(Path(target))
        if path.suffix != ".md":
            return await super().report(target)
        letter = read_letter(path)
        return render_letter(letter.to_json(), path.stem[:10], (await self.look_up(letter))[1], "html")

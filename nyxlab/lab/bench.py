"""The verbs of the bench: pages from what is recorded, batches of notebooks."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from nyxlab import __version__
from nyxlab.lab import batch
from nyxlab.lab.desk import Desk
from nyxlab.lab.plans import goal_of
from nyxlab.lab.report import export_notebook, render_review, render_run
from nyxlab.lab.reviews import Paths, read_review, unchanged_documents


class Bench(Desk):
    """What turns records into pages."""

    async def report(self, target: Paths) -> str:
        """Return one self-contained HTML page for a run (its id), a review (its JSON file) or an executed notebook."""
        path = self.settings.resolve(Path(target))
        if path.suffix == ".ipynb":
            return export_notebook(path)
        if path.suffix == ".json" or path.exists():
            review = read_review(path).to_json()
            return render_review(review, "html", unchanged_documents(review, path.parent))
        run = await self.show(str(target))
        told = {"goal": goal_of(run), "inputs": run.inputs, "options": run.options, "versions": _versions()}
        return render_run(run.checkpoint() | told)

    async def batch(
        self, grid: Paths, *, reports: Paths = "reports", on_job: Callable[[batch.Job], None] | None = None,
        on_cell: batch.OnCell | None = None,
    ) -> list[batch.Result]:  # fmt: skip
        """Run the notebooks of a grid one after another and export each; every job is checked before the first starts."""
        jobs = batch.read_grid(self.settings.resolve(Path(grid)), self.settings.root)
        results = []
        for job in jobs:
            if on_job:
                on_job(job)
            results.append(await batch.run_job(job, self.settings.resolve(Path(reports)), on_cell or _quiet))
        return results


def _versions() -> dict[str, str]:
    names = ("genai-prices", "pydantic", "httpx")
    return {"nyxlab": __version__} | {name: version(name) for name in names}


def _quiet(_name: str, _cell: int, _cells: int) -> None:
    return

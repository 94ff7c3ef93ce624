"""Lab: the verbs of nyxlab in one object; each is defined in the file that is named after what it is about."""

from __future__ import annotations

from nyxlab.lab.bench import Bench
from nyxlab.lab.gates import Gates
from nyxlab.lab.plans import Plans


class Lab(Gates, Plans, Bench):
    """A workbench on one project: its settings, its ledger, its providers.

    Use it as ``async with Lab() as lab``. ``store`` is a database URL that overrides the settings'. Relative paths given
    to its verbs are taken from the project's root (the nearest folder upwards with a ``nyxlab.toml``), so that a
    notebook in ``notebooks/`` and a command at the root mean the same file.
    """

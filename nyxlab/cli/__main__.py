"""`python -m nyxlab.cli` is `nyxlab`."""

from nyxlab.cli import main

main()

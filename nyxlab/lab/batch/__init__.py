"""Grids of notebooks: which runs, in which processes, with which outcome."""

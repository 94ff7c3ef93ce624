"""YAML that holds data and no tricks: text in, JSON values and their lines out, no I/O."""

from __future__ import annotations

from typing import Any

import yaml

from nyxlab.errors import InputRefused

LARGEST = 1_000_000
DEEPEST = 40

Lines = dict[tuple[int | str, ...], int]
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser where there is one: 1 MB in a second, not ten


def read_yaml(text: str, name: str) -> tuple[Any, Lines]:
    """Return the document and the line (from 1) of every value in it, keyed by its path.

    ``InputRefused`` with the file and the line for more than 1 MB, more than 40 levels, an alias, a key that stands
    twice, a key that is not text, or what is not YAML at all.
    """
    if len(text) > LARGEST:
        raise InputRefused(f"{name}: {len(text):,} characters; a YAML file may hold {LARGEST:,}")
    try:
        _refuse_tricks(text, name)
        loader = _Base(text)
        node = loader.get_single_node()
        lines: Lines = {}
        if node is None:
            return None, lines
        _walk(node, (), lines, name)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputRefused(f"{name}:{mark.line + 1 if mark else 1}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputRefused(f"{name}: not valid YAML: {type(error).__name__}") from None


def _refuse_tricks(text: str, name: str) -> None:
    """Look at the bare events first: nothing is built yet, so a bomb has nothing to blow up."""
    depth = 0
    for event in yaml.parse(text, Loader=_Base):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise InputRefused(f"{name}:{line}: aliases (*name) are not accepted; write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise InputRefused(f"{name}:{line}: nested deeper than {DEEPEST} levels")


def _walk(node: yaml.Node, path: tuple[int | str, ...], lines: Lines, name: str) -> None:
    """Note the line of every value; refuse keys that are not text or stand twice."""
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), lines, name)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag != "tag:yaml.org,2002:str":
                raise InputRefused(f"{name}:{line}: a key must be plain text; put it in quotes if it is meant as such")
            if (*path, key.value) in lines:
                raise InputRefused(f"{name}:{line}: '{key.value}' stands twice")
            lines[(*path, key.value)] = line
            _walk(value, (*path, key.value), lines, name)

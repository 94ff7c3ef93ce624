"""The registry of tools: Python functions that a workflow's tool steps may call by name, and nothing else."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from nyxlab.errors import InputRefused, ToolFailed, did_you_mean, nearest_or_all
from nyxlab.providers.messages import Json


@dataclass(frozen=True)
class Workplace:
    """Where a tool works: it reads under ``root`` (the project's) and writes under ``scratch`` (the run's) alone."""

    root: Path
    scratch: Path


@dataclass(frozen=True)
class Tool:
    """A registered function. ``acts``: it runs or writes something of the user's, so a run must be told ``--allow``."""

    name: str
    acts: bool
    function: Callable[..., Any]
    parameters: type[BaseModel]

    def check(self, arguments: Mapping[str, Json]) -> None:
        """Refuse names that the function does not take and the lack of those that it needs; values come later."""
        known = self.parameters.model_fields
        for name in arguments:
            if name not in known:
                near = did_you_mean(name, known) or f"; it takes {', '.join(known)}"
                raise InputRefused(f"tool '{self.name}' takes no '{name}'{near}")
        if missing := [name for name, field in known.items() if field.is_required() and name not in arguments]:
            raise InputRefused(f"tool '{self.name}' needs {', '.join(missing)} under 'with'")

    async def run(self, arguments: Mapping[str, Json], root: Path, scratch: Path) -> Json:
        """Call the function with arguments that fit its annotations; ``ToolFailed`` says what went wrong."""
        self.check(arguments)
        try:
            given = self.parameters.model_validate(dict(arguments))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ToolFailed(f"tool '{self.name}': {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        scratch.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - one quick call
        place = Workplace(root.resolve(), scratch.resolve())  # noqa: ASYNC240 - as above
        call = functools.partial(self.function, place, **dict(given))
        try:
            if inspect.iscoroutinefunction(self.function):
                return cast("Json", await cast("Awaitable[Json]", call()))
            return cast("Json", await anyio.to_thread.run_sync(call))
        except OSError as error:
            raise ToolFailed(f"tool '{self.name}': {error.strerror or type(error).__name__}") from error


_TOOLS: dict[str, Tool] = {}


def tool(*, acts: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function, sync or async, under its own name.

    It takes a ``Workplace`` and annotated keyword arguments, and returns what JSON can hold. ``acts`` is true for one
    that runs programs or writes outside of the run's scratch folder.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        fields: dict[str, Any] = {}
        for name, parameter in list(inspect.signature(function, eval_str=True).parameters.items())[1:]:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (parameter.annotation, default)
        strict = ConfigDict(extra="forbid", allow_inf_nan=False)
        parameters = create_model(function.__name__, __config__=strict, **fields)
        _TOOLS[function.__name__] = Tool(function.__name__, acts, function, parameters)
        return function

    return register


def registered(name: str) -> Tool:
    """Return the tool of that name; ``InputRefused`` names those that there are."""
    if name not in _TOOLS:
        near = nearest_or_all(name, sorted(_TOOLS))
        raise InputRefused(f"unknown tool '{name[:80]}'{near}")
    return _TOOLS[name]

"""From what people write (``vendor:model?sampling``) to a provider that answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from pydantic import SecretStr, ValidationError

from nyxlab.errors import InputRefused, nearest_or_all
from nyxlab.providers.anthropic import AnthropicDialect
from nyxlab.providers.base import Provider
from nyxlab.providers.dialect import Dialect, Sampling
from nyxlab.providers.google import GoogleDialect
from nyxlab.providers.hand import HandProvider
from nyxlab.providers.http import HttpProvider
from nyxlab.providers.local import LocalProvider
from nyxlab.providers.messages import Record, looks_like_key
from nyxlab.providers.openai import OpenAIDialect
from nyxlab.providers.prices import FREE, Tariff, tariff
from nyxlab.providers.scripted import ScriptedProvider
from nyxlab.settings import VENDOR_KEYS, Endpoint, Settings, load_settings, vet_url


class Reference(Record):
    """A provider as people write it, taken apart; ``id`` is its canonical text (sampling sorted by name)."""

    id: str
    vendor: str
    model: str
    sampling: Sampling = Sampling()


def parse_reference(ref: str) -> Reference:
    """Take ``vendor:model?temperature=0.8&seed=7`` apart; ``InputRefused`` says what is wrong with it."""
    if looks_like_key(ref):
        raise InputRefused("this looks like a key, not a provider: keys belong in .env; write vendor:model")
    vendor, colon, rest = ref.strip().partition(":")
    model, _, query = rest.partition("?")
    if not colon or not vendor or not model:
        raise InputRefused(f"'{ref}' is not a provider; write vendor:model, for example openai:gpt-5.5")
    if vendor in ("script", "replay", "hand"):
        return Reference(id=f"{vendor}:{rest}", vendor=vendor, model=rest)
    try:
        pairs = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        raise InputRefused(f"'{ref}': write the sampling as ?name=value&name=value") from None
    if query.count("&") + 1 > max(len(pairs), 1):
        raise InputRefused(f"'{ref}': a name stands twice in the sampling")
    for name in pairs:
        if name not in Sampling.model_fields:
            near = nearest_or_all(name, Sampling.model_fields)
            raise InputRefused(f"'{ref}': unknown sampling '{name}'{near}")
    try:
        sampling = Sampling.model_validate(pairs)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputRefused(f"'{ref}': {first['loc'][0]}: {first['msg']}") from None
    text = "&".join(f"{name}={pairs[name]}" for name in sorted(pairs))
    return Reference(id=f"{vendor}:{model}{'?' if text else ''}{text}", vendor=vendor, model=model, sampling=sampling)


def open_provider(
    ref: str,
    *,
    settings: Settings | None = None,
    base_url: str | None = None,
    api_key: str | SecretStr | None = None,
    openers: Mapping[str, Callable[[str], Provider]] | None = None,
) -> Provider:
    """Return the provider that ``ref`` names; nothing is sent, and a missing key is a reason in ``unusable()``.

    ``base_url`` and ``api_key`` are for the caller's own code and win over the settings; loopback is allowed there.
    ``openers`` are vendors that the caller brings along, each a function of what stands behind the colon.
    Raises ``InputRefused`` for an unknown vendor, endpoint, model or sampling, with the nearest name.
    """
    settings = settings or load_settings()
    named = parse_reference(ref)
    if openers and named.vendor in openers:
        return openers[named.vendor](named.model)
    if named.vendor == "replay":
        raise InputRefused(f"'{ref}': recorded runs are opened by a Lab, which has the ledger: Lab().open('{ref}')")
    if named.vendor == "script":
        path, _, channel = named.model.partition("#")
        return ScriptedProvider(f"{settings.resolve(path)}#{channel}", id=named.id)
    if named.vendor == "hand":
        return HandProvider(named.model, settings.root, _tariff(named, settings, None, ""))
    if named.vendor == "local":
        return LocalProvider(named.model, id=named.id, sampling=named.sampling)
    endpoint = settings.endpoints.get(named.vendor)
    if endpoint is None and named.vendor not in VENDOR_KEYS:
        known = [*VENDOR_KEYS, "hand", "local", "script", *settings.endpoints]
        near = nearest_or_all(named.vendor, known)
        url = "http://127.0.0.1:11434/v1" if named.vendor == "ollama" else "http://HOST:PORT/v1"
        table = f'[endpoints.{named.vendor}] with kind = "openai", base_url = "{url}", allow_private = true'
        raise InputRefused(
            f"'{ref}': unknown vendor or endpoint '{named.vendor}'{near}"
            f"{'.' if not near.endswith('?') else ''} A server of your own is named in nyxlab.toml: {table}"
        )
    if base_url is not None:
        try:
            base_url = vet_url(base_url, allow_private=True)
        except ValueError as error:
            raise InputRefused(f"'{ref}': {error}") from None
    key = SecretStr(api_key) if isinstance(api_key, str) else api_key
    return _over_http(named, settings, endpoint, base_url, key)


def _over_http(
    named: Reference, settings: Settings, endpoint: Endpoint | None, base_url: str | None, key: SecretStr | None
) -> HttpProvider:
    """Put a provider together from a vendor or an endpoint; a price sheet speaks only for a vendor's own server."""
    kind = endpoint.kind if endpoint else named.vendor
    own = endpoint is None and base_url is None
    dialect: Dialect = OpenAIDialect("max_completion_tokens" if own else "max_tokens")
    if kind != "openai":
        dialect = AnthropicDialect() if kind == "anthropic" else GoogleDialect()
    variables = VENDOR_KEYS[kind] if endpoint is None else tuple(filter(None, [endpoint.api_key_env]))
    # A vendor's key goes to the vendor alone: where the caller names another server, the caller gives its key too.
    key = key or (settings.key(*variables) if base_url is None else None)
    missing = f"no key: set {' or '.join(variables)} in .env or the environment"
    url = base_url or (endpoint.base_url.rstrip("/") if endpoint else dialect.base_url)
    if not re.search(r"/v\d\w*$", url):
        url += dialect.version
    return HttpProvider(
        dialect,
        id=named.id,
        vendor=named.vendor,
        model=named.model,
        base_url=url,
        key=key,
        why_no_key=missing if variables and base_url is None else None,
        sampling=named.sampling,
        tariff=_tariff(named, settings, endpoint, kind if own else ""),
    )


def tariff_of(ref: str, settings: Settings | None = None) -> Tariff:
    """Return what calls to ``ref`` cost: the settings' price, else the vendor's list price, else none."""
    settings, named = settings or load_settings(), parse_reference(ref)
    if named.vendor == "local":
        return Tariff(price=FREE)
    endpoint = settings.endpoints.get(named.vendor)
    return _tariff(named, settings, endpoint, "" if endpoint else named.vendor)


def _tariff(named: Reference, settings: Settings, endpoint: Endpoint | None, sheet: str) -> Tariff:
    model = endpoint.models.get(named.model) if endpoint else None
    price = settings.prices.get(f"{named.vendor}:{named.model}") or (model.price if model else None)
    return tariff(sheet, named.model, price, model.context if model else None)

"""Session cookies of an Auth.js v5 application, made and read as its own server does (`@auth/core/jwt`)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Json
from nyxlab.settings import SESSION_SECRETS, Settings

if TYPE_CHECKING:
    from joserfc.jwk import OctKey

ALGORITHMS = ["dir", "A256CBC-HS512"]
SHORTEST = 32  # characters of a secret
LEEWAY = 15  # seconds that a clock may be wrong
CHUNK = 3_936  # characters of a cookie's value; a longer one is cut


def secrets_of(settings: Settings) -> list[str]:
    """Return the application's secrets from the environment or ``.env``; the first one encrypts, as in Auth.js."""
    found = {name: key.get_secret_value() for name in SESSION_SECRETS if (key := settings.key(name))}
    for name, secret in found.items():
        if len(secret) < SHORTEST:
            raise InputRefused(
                f"{name} has {len(secret)} characters, a secret of Auth.js {SHORTEST} or more: set its own"
            )
    if not found:
        raise InputRefused("no AUTH_SECRET in the environment or .env: put the application's own secret there")
    return list(found.values())


def cookie_name(scheme: str) -> str:
    """Return what the application calls its session cookie, which also salts the key: another one for https."""
    return f"{'__Secure-' if scheme == 'https' else ''}authjs.session-token"


def make_cookie(secrets: Sequence[str], name: str, claims: Mapping[str, Json], seconds: int) -> str:
    """Return a session as the text of a ``Cookie`` header; one that is too long for a cookie is cut into several."""
    from joserfc import jwe

    key, kid = _key(secrets[0], name)
    now = int(time.time())
    told = {**claims, "iat": now, "exp": now + seconds, "jti": str(uuid.uuid4())}
    header = {"alg": ALGORITHMS[0], "enc": ALGORITHMS[1], "kid": kid}
    token = jwe.encrypt_compact(header, json.dumps(told).encode(), key, algorithms=ALGORITHMS)
    pieces = [token[start : start + CHUNK] for start in range(0, len(token), CHUNK)]
    if len(pieces) == 1:
        return f"{name}={token}"
    return "; ".join(f"{name}.{number}={piece}" for number, piece in enumerate(pieces))


def read_cookie(secrets: Sequence[str], name: str, text: str) -> dict[str, Json]:
    """Return the claims of a session: a token, or a ``Cookie`` header that holds it, in pieces or whole."""
    from joserfc import jwe
    from joserfc.errors import JoseError

    pieces = re.findall(rf"(?:^|[\s;:]){re.escape(name)}(?:\.(\d{{1,3}}))?=([^;\s]*)", text)
    if not pieces and re.search(r"[=;]", text):
        raise InputRefused(f"no cookie {name} in what was read: is --url the application's own, http or https?")
    token = "".join(value for _, value in sorted(pieces, key=lambda piece: int(piece[0] or 0))) or text.strip()
    keys = {kid: key for key, kid in (_key(secret, name) for secret in secrets)}
    try:
        head = json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
        kid = str(head.get("kid", next(iter(keys))))
    except (ValueError, AttributeError):
        raise InputRefused("what was read is no session token: paste the cookie's value or the whole header") from None
    if kid not in keys:
        raise InputRefused(f"no secret here made this token for {name}: check AUTH_SECRET, and http or https of --url")
    try:
        claims = json.loads(jwe.decrypt_compact(token, keys[kid], algorithms=ALGORITHMS).plaintext or b"")
    except (JoseError, ValueError):
        raise InputRefused("the token is damaged or was tampered with: copy it again, or make a new one") from None
    ends = claims.get("exp") if isinstance(claims, dict) else None
    if not isinstance(ends, int | float) or isinstance(ends, bool):
        raise InputRefused("the token says not when it ends (exp), so it is not accepted: make a new one")
    if ends + LEEWAY < time.time():
        when = datetime.fromtimestamp(ends, UTC)
        raise InputRefused(f"the token expired at {when:%Y-%m-%d %H:%M:%S} UTC: make a new one")
    return dict(claims)


def _key(secret: str, name: str) -> tuple[OctKey, str]:
    """Return the key that a secret gives under a cookie's name, and its thumbprint, by SHA-512 (joserfc's: SHA-256)."""
    try:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        from joserfc.jwk import OctKey
    except ImportError:
        raise InputRefused("session tokens need two libraries: pip install 'nyxlab[auth]'") from None
    about = f"Auth.js Generated Encryption Key ({name})".encode()
    raw = HKDF(SHA256(), length=64, salt=name.encode(), info=about).derive(secret.encode())
    members = {"k": _base64url(raw), "kty": "oct"}
    told = json.dumps(members, separators=(",", ":")).encode()  # RFC 7638: these members, sorted, no white space
    return OctKey.import_key(raw), _base64url(hashlib.sha512(told).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

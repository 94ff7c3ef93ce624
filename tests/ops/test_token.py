"""Session tokens are Auth.js's own: its published library reads ours, and we read its."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside import nyxlab

from nyxlab.errors import InputRefused
from nyxlab.lab.token import CHUNK, cookie_name, make_cookie, read_cookie

SECRET, NEWER = "correct-horse-battery-staple-0123456789", "another-secret-of-the-same-application"
SECURE, PLAIN = cookie_name("https"), cookie_name("http")
ANA = {"sub": "42", "name": "Ana Mérida", "email": "ana@example.org"}
# Made by encode() of @auth/core 0.41.3 from SECRET, SECURE and ANA; it ends in 2086.
GOLDEN = (
    "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2Q0JDLUhTNTEyIiwia2lkIjoiU3hoYnVoeC0wNWNDZ1daMnBXaDQ1bUhXcGh5NzdmbU9s"
    "RkVxSTRJRjdwTTRxUXVSSVBoUFgzVnFTSjI1NmlBbmhMUDdjZ3NhQ1J4aWVFbEdhdlMwc3cifQ..-0wKHZpq2M18e9ioxa9dmg.2"
    "B2jNf7I5B4OxIEK75xS76P16Z00EdkP5m7IMiwhNXhFN04J7FvLPjdM3X0lcfXNcz8qrJm_ldrj8jzQ3k6qM4BgqMNK4yLRlk6n5"
    "JhtmTiRQ6Jp5464arVUHlaquYzx2SFG7tDzTznssJ6YEVNI6Alufz3DNPVGRipZtpYWkZajY7T1JDtbhCY5-zkeHFYn.n8BELtCh"
    "cfVSWMCoCjTLty61EeW1NeDW9VQj7fFWP7Y"
)


@pytest.fixture(scope="session")
def auth(tmp_path_factory):
    """Ask @auth/core 0.41.3 something, under node."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no node and npm here: apt-get install nodejs npm")
    folder = tmp_path_factory.mktemp("auth")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "@auth/core@0.41.3"]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("npm cannot install @auth/core@0.41.3: no registry is reached from here")
    script = shutil.copy(Path(__file__).with_name("auth.mjs"), folder)

    def ask(act: str, **asked: object) -> dict:
        done = subprocess.run(
            ["node", script], input=json.dumps({"act": act, **asked}), capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return ask


def _token(cookie: str) -> str:
    return cookie.partition("=")[2]


def test_golden_vector() -> None:
    """A token that Auth.js made once is read, whoever else is installed."""
    claims = read_cookie([SECRET], SECURE, GOLDEN)
    assert {key: claims[key] for key in ANA} == ANA
    assert json.loads(base64.urlsafe_b64decode(GOLDEN.partition(".")[0] + "==")) == json.loads(
        base64.urlsafe_b64decode(_token(make_cookie([SECRET], SECURE, ANA, 60)).partition(".")[0] + "==")
    )


@pytest.mark.parametrize("salt", [SECURE, PLAIN])
def test_both_ways(auth, salt: str) -> None:
    """Auth.js decodes ours and we decode its, under either cookie's name."""
    read = auth("decode", secret=SECRET, salt=salt, token=_token(make_cookie([SECRET], salt, ANA, 3_600)))["value"]
    assert {key: read[key] for key in ANA} == ANA
    assert read["exp"] - read["iat"] == 3_600
    made = auth("encode", secret=SECRET, salt=salt, claims=ANA, maxAge=3_600)["value"]
    claims = read_cookie([SECRET], salt, made)
    assert {key: claims[key] for key in ANA} == ANA


def test_rotation(auth) -> None:
    """A token of the older secret is read by both beside the newer one, by its kid; the newer one encrypts."""
    old = make_cookie([SECRET], SECURE, ANA, 60)
    assert auth("decode", secret=[NEWER, SECRET], salt=SECURE, token=_token(old))["value"]["sub"] == "42"
    theirs = auth("encode", secret=[SECRET], salt=SECURE, claims=ANA, maxAge=60)["value"]
    assert read_cookie([NEWER, SECRET], SECURE, theirs)["sub"] == "42"
    new = make_cookie([NEWER, SECRET], SECURE, ANA, 60)
    assert auth("decode", secret=[NEWER], salt=SECURE, token=_token(new))["value"]["sub"] == "42"


def test_expired(auth) -> None:
    """Twenty seconds past its end neither reads it; ten seconds past, within the leeway, both do."""
    for seconds, is_read in ((-20, False), (-10, True)):
        cookie = make_cookie([SECRET], SECURE, ANA, seconds)
        assert ("value" in auth("decode", secret=SECRET, salt=SECURE, token=_token(cookie))) == is_read
        theirs = auth("encode", secret=SECRET, salt=SECURE, claims=ANA, maxAge=seconds)["value"]
        if is_read:
            assert read_cookie([SECRET], SECURE, theirs)["sub"] == "42"
        else:
            with pytest.raises(InputRefused, match="expired at"):
                read_cookie([SECRET], SECURE, theirs)


def test_wrong_salt_and_wrong_secret(auth) -> None:
    """A token made for http is none for https, for either; nor is one of a stranger's secret."""
    assert "error" in auth("decode", secret=SECRET, salt=SECURE, token=_token(make_cookie([SECRET], PLAIN, ANA, 60)))
    theirs = auth("encode", secret=SECRET, salt=PLAIN, claims=ANA, maxAge=60)["value"]
    for secrets, salt in (([SECRET], SECURE), ([NEWER], PLAIN)):
        with pytest.raises(InputRefused, match="no secret here made this token"):
            read_cookie(secrets, salt, theirs)


def test_chunks(auth) -> None:
    """Auth.js's getToken puts the pieces of a long session together as we cut them, in any order, and so do we."""
    long = {**ANA, "name": "x" * 9_000}
    cookie = make_cookie([SECRET], SECURE, long, 60)
    pieces = cookie.split("; ")
    assert len(pieces) > 2
    assert all(len(_token(piece)) <= CHUNK for piece in pieces)
    for header in (cookie, "; ".join(["other=1", *reversed(pieces)])):
        assert auth("getToken", secret=SECRET, secure=True, cookie=header)["value"]["name"] == long["name"]
        assert read_cookie([SECRET], SECURE, f"Cookie: {header}")["name"] == long["name"]


@given(at=st.integers(0, 10_000), turn=st.integers(1, 63))
def test_tampered(at: int, turn: int) -> None:
    """Whichever of a token's characters is another one, it is refused in one sentence."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at %= len(GOLDEN)
    if GOLDEN[at] == ".":
        changed = GOLDEN[:at] + GOLDEN[at + 1 :]
    elif at + 1 == len(GOLDEN) or GOLDEN[at + 1] == ".":  # the last letter of a part may hold bits that mean nothing
        changed = GOLDEN[:at] + "*" + GOLDEN[at + 1 :]
    else:
        changed = GOLDEN[:at] + letters[(letters.index(GOLDEN[at]) + turn) % 64] + GOLDEN[at + 1 :]
    with pytest.raises(InputRefused):
        read_cookie([SECRET], SECURE, changed)


@pytest.mark.parametrize("claims", [{"sub": "42"}, {"sub": "42", "exp": None}, {"exp": "tomorrow"}, {"exp": True}, []])
def test_without_an_end(claims: object) -> None:
    """A token of the right key that does not say when it ends is refused: Auth.js always says."""
    from joserfc import jwe

    from nyxlab.lab.token import ALGORITHMS, _key

    key, kid = _key(SECRET, SECURE)
    header = {"alg": "dir", "enc": "A256CBC-HS512", "kid": kid}
    token = jwe.encrypt_compact(header, json.dumps(claims).encode(), key, algorithms=ALGORITHMS)
    with pytest.raises(InputRefused, match="not when it ends"):
        read_cookie([SECRET], SECURE, token)


def _run(folder: Path, *words: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return nyxlab(folder, "token", *words, given=given, **variables)


def test_command(tmp_path: Path) -> None:
    """The command prints a header that it reads again; the secret may stand in .env."""
    (tmp_path / ".env").write_text(f"AUTH_SECRET={SECRET}\n")
    made = _run(tmp_path, "--url", "https://app.example.org", "--email", "ana@example.org", "--hours", "1")
    assert made.returncode == 0, made.stderr
    read = _run(tmp_path, "--url", "https://app.example.org", "--read", given=made.stdout)
    claims = json.loads(read.stdout)
    assert claims["email"] == "ana@example.org"
    assert 3_590 < claims["exp"] - time.time() <= 3_600
    rotated = _run(tmp_path, "--url", "https://app.example.org", "--sub", "1", AUTH_SECRET_1=NEWER)
    assert read_cookie([NEWER], SECURE, rotated.stdout)["sub"] == "1"


@pytest.mark.parametrize(
    ("words", "variables", "given", "said"),
    [
        (["--sub", "1"], {}, "", "no AUTH_SECRET"),
        (["--sub", "1"], {"AUTH_SECRET": ""}, "", "no AUTH_SECRET"),
        (["--sub", "1"], {"AUTH_SECRET": "x" * 31}, "", "AUTH_SECRET has 31 characters"),
        ([], {"AUTH_SECRET": SECRET}, "", "say whose session"),
        (["--read"], {"AUTH_SECRET": SECRET}, "", "no session token"),
        (["--read"], {"AUTH_SECRET": SECRET}, "rubbish", "no session token"),
        (["--read"], {"AUTH_SECRET": SECRET}, "theme=dark; lang=en", "no cookie"),
        (["--read"], {"AUTH_SECRET": NEWER}, GOLDEN, "no secret here"),
        (["--read"], {"AUTH_SECRET": SECRET}, GOLDEN[:-9] + "AAAAAAAAA", "damaged"),
    ],
)
def test_refusals(tmp_path: Path, words: list[str], variables: dict[str, str], given: str, said: str) -> None:
    """What cannot be used is one sentence with exit code 2, and no secret is in it."""
    done = _run(tmp_path, "--url", "https://app.example.org", *words, given=given, **variables)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
    assert SECRET not in done.stderr


@pytest.mark.parametrize("url", ["app.example.org", "ftp://x", "https://", "https://[::1", "https://x:99999"])
def test_no_address(tmp_path: Path, url: str) -> None:
    """An address that is none of a web server is refused."""
    done = _run(tmp_path, "--url", url, "--sub", "1", AUTH_SECRET=SECRET)
    assert done.returncode == 2
    assert "--url takes an address" in done.stderr

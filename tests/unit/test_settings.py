"""What nyxlab.toml, .env and the environment may say, and what is refused with file and line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from nyxlab.errors import InputRefused
from nyxlab.settings import is_private, load_settings, vet_url

FULL = """\
store = "sqlite:///data/mine.db"
[defaults]
provider = "anthropic:claude-sonnet-5-5"
[endpoints.mine]
kind = "openai"
base_url = "http://127.0.0.1:8080/v1"
api_key_env = "MINE_API_KEY"
allow_private = true
[endpoints.mine.models."big.model"]
context = 8192
price = {input = "0.50", output = 1.5}
[prices."anthropic:claude-new"]
input = "3.00"
output = "15.00"
"""


def project(folder: Path, toml: str = "", env: str = "") -> Path:
    (folder / "nyxlab.toml").write_text(toml, encoding="utf-8")
    if env:
        (folder / ".env").write_text(env, encoding="utf-8")
    return folder


def test_everything_is_read(tmp_path: Path) -> None:
    """Each documented key of nyxlab.toml arrives, money as Decimal and the store as an absolute path."""
    settings = load_settings(project(tmp_path, FULL))
    assert settings.store == f"sqlite:///{tmp_path}/data/mine.db"
    assert settings.endpoints["mine"].models["big.model"].price.output == Decimal("1.5")
    assert settings.endpoints["mine"].models["big.model"].context == 8192
    assert settings.prices["anthropic:claude-new"].input == Decimal("3.00")
    assert settings.defaults.provider == "anthropic:claude-sonnet-5-5"
    assert settings.resolve("data/x.yaml") == tmp_path / "data/x.yaml"


def test_root_is_the_nearest_folder_upwards(tmp_path: Path) -> None:
    """A notebook's folder and the project's root see the same store; without a nyxlab.toml the start is the root."""
    below = tmp_path / "notebooks" / "deep"
    below.mkdir(parents=True)
    assert load_settings(below).root == below
    project(tmp_path)
    assert load_settings(below) == load_settings(tmp_path)
    assert load_settings(below).store == f"sqlite:///{tmp_path}/data/nyxlab.db"


def test_environment_wins_over_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key comes from the environment before .env, an endpoint's own variable too, and an empty one is no key."""
    project(
        tmp_path,
        FULL,
        "MINE_API_KEY=from-dotenv\nGOOGLE_API_KEY=g\nOPENAI_API_KEY=\nNYXLAB_STORE=sqlite:///other.db\nX=1\n",
    )
    settings = load_settings(tmp_path)
    assert settings.key("MINE_API_KEY").get_secret_value() == "from-dotenv"
    assert settings.key("GEMINI_API_KEY", "GOOGLE_API_KEY").get_secret_value() == "g"
    assert settings.key("OPENAI_API_KEY") is None
    assert settings.store == f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setenv("MINE_API_KEY", "from-environment")
    assert load_settings(tmp_path).key("MINE_API_KEY").get_secret_value() == "from-environment"


def test_no_key_is_ever_printed(tmp_path: Path) -> None:
    """Neither a key nor a database password occurs in any printed form of the settings."""
    project(tmp_path, FULL, "MINE_API_KEY=hush-hush\nNYXLAB_STORE=postgresql://me:hush-hush@db/x\n")
    settings = load_settings(tmp_path)
    assert "hush" not in f"{settings} {settings!r} {settings.keys!r} {settings.key('MINE_API_KEY')}"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("stroe = 1", "nyxlab.toml:1: unknown key 'stroe'; did you mean 'store'?"),
        (FULL.replace("base_url", "bas_url"), "nyxlab.toml:6: unknown key 'bas_url'; did you mean 'base_url'?"),
        (FULL.replace("output = 1.5", "ouput = 1"), "nyxlab.toml:11: unknown key 'ouput'; did you mean 'output'?"),
        (
            FULL.replace("context = 8192", "contxt = 8192"),
            "nyxlab.toml:10: unknown key 'contxt'; did you mean 'context'?",
        ),
        (FULL.replace("allow_private = true", ""), "nyxlab.toml:4: endpoints.mine: base_url points at 127.0.0.1"),
        (FULL.replace('"3.00"', "nan"), "nyxlab.toml:13: prices.anthropic:claude-new.input: "),
        (FULL.replace('"3.00"', "true"), "an amount is a number, not true or false"),
        (FULL.replace('"3.00"', '"-3"'), "nyxlab.toml:13:"),
        (FULL.replace("endpoints.mine", "endpoints.openai"), "'openai' is a vendor of its own"),
        (FULL.replace('"MINE_API_KEY"', '"sk-123"'), "nyxlab.toml:7:"),
        ("a = 1\nb = = 2", "nyxlab.toml:2: not valid TOML"),
    ],
)
def test_refusals_name_file_line_and_nearest_key(tmp_path: Path, toml: str, said: str) -> None:
    """What cannot be used is refused in one sentence with file, line and the nearest valid key."""
    with pytest.raises(InputRefused) as refused:
        load_settings(project(tmp_path, toml))
    assert said in str(refused.value)


def test_binary_files_are_refused(tmp_path: Path) -> None:
    """A settings file that is no text ends in one sentence, not in a traceback."""
    (tmp_path / "nyxlab.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputRefused, match=r"nyxlab\.toml: cannot be read"):
        load_settings(tmp_path)
    project(tmp_path)
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputRefused, match=r"\.env: cannot be read"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com",
        "http://",
        "http://user:pass@example.com/v1",
        "http://example.com/v1?x=1",
        "http://example.com:99999",
        "http://exa mple.com",
        "http://[::1",
    ],
)
def test_urls_that_are_never_used(url: str) -> None:
    """Only plain http and https addresses are used, whatever is allowed otherwise."""
    with pytest.raises(ValueError, match="base_url"):
        vet_url(url, allow_private=True)


@pytest.mark.parametrize(
    "host",
    """127.0.0.1 127.1 0x7f000001 2130706433 0.0.0.0 10.0.0.8 192.168.1.1 169.254.169.254 localhost a.localhost.
    printer.local metadata.google.internal ::1 ::ffff:127.0.0.1 fe80::1%eth0 fd00::1 224.0.0.1""".split(),  # noqa: SIM905 - a column of seventeen says less
)
def test_private_hosts_in_every_spelling(host: str) -> None:
    """A host on this machine or network is known as such in old and new spellings, and refused unless allowed."""
    assert is_private(host)
    shown = f"[{host}]" if ":" in host else host
    with pytest.raises(ValueError, match="private"):
        vet_url(f"https://{shown}/v1", allow_private=False)
    assert not is_private("api.openai.com")
    assert not is_private("8.8.8.8")

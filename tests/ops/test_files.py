"""What deploys this project is valid by the tools of those who run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import servers

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((servers.ROOT / ".github" / "workflows").glob("*.yml"))


def _run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(each) for each in command], env=os.environ | environment, capture_output=True, text=True, cwd=servers.ROOT
    )


@pytest.fixture(scope="module")
def compose() -> list[str]:
    """Docker Compose itself, without an engine: it reads and resolves the file as `docker compose` does."""
    return [servers.compose(), "-f", str(servers.DEPLOY / "docker-compose.production.yml")]


def test_compose_takes_the_file(compose) -> None:
    """Compose resolves the file: the lab is for nginx alone and has no rights; what has rights is not the lab."""
    done = _run(*compose, "--profile", "ledger", "config", "--format", "json", NYXLAB_SHA="0" * 40)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    lab, nginx = told["services"]["lab"], told["services"]["nginx"]
    assert told["name"] == "nyxlab"
    assert lab["image"] == f"nyxlab:{'0' * 40}"
    assert "ports" not in lab
    assert lab["read_only"]
    assert lab["cap_drop"] == ["ALL"]
    assert lab["security_opt"] == ["no-new-privileges:true"]
    assert {each["target"] for each in lab["volumes"]} == {"/srv/nyxlab/data", "/srv/nyxlab/reports"}
    assert nginx["depends_on"]["lab"]["condition"] == "service_healthy"
    assert {each["published"] for each in nginx["ports"]} == {"80", "443"}
    # A mounted file stays the old one when a new one is moved to its name.
    assert all(not Path(v["source"]).suffix for v in nginx["volumes"] if v["type"] == "bind")
    assert (
        "ledger" not in json.loads(_run(*compose, "config", "--format", "json", NYXLAB_SHA="0" * 40).stdout)["services"]
    )


def test_compose_asks_for_the_revision(compose) -> None:
    """Started by hand without a revision, Compose says what is missing instead of running some image."""
    clean = {name: value for name, value in os.environ.items() if name != "NYXLAB_SHA"}
    done = subprocess.run([*compose, "config"], env=clean, capture_output=True, text=True)
    assert done.returncode != 0
    assert "the revision to run" in done.stderr


def test_workflows_are_valid_and_safe() -> None:
    """GitHub's schema takes the workflows, and zizmor finds nothing of medium or high severity in them."""
    assert _run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS).returncode == 0
    done = _run(BIN / "zizmor", "--offline", "--no-progress", "--min-severity", "medium", *WORKFLOWS)
    assert done.returncode == 0, done.stdout


def test_deploy_waits_for_ci_and_checks_out_nothing() -> None:
    """The deploy job needs the tests of its own revision, has no rights and no checkout, and is never cut short."""
    deploy = servers.workflow("deploy.yml")
    assert deploy["jobs"]["deploy"]["needs"] == "ci"
    assert deploy["jobs"]["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert deploy["permissions"] == deploy["jobs"]["deploy"]["permissions"] == {}
    assert deploy["concurrency"] == {"group": "deploy-production", "cancel-in-progress": False}
    assert not [step for step in deploy["jobs"]["deploy"]["steps"] if "uses" in step]
    assert all("environment" not in job for job in deploy["jobs"].values())


def test_shell_and_dockerfile() -> None:
    """shellcheck and hadolint have nothing to say."""
    scripts = [*servers.DEPLOY.glob("*.sh"), servers.ROOT / ".ci" / "run"]
    assert (done := _run(BIN / "shellcheck", *scripts)).returncode == 0, done.stdout
    assert (done := _run(BIN / "hadolint", servers.DEPLOY / "Dockerfile")).returncode == 0, done.stdout
    assert all(os.access(script, os.X_OK) for script in scripts if script.suffix)


def test_units() -> None:
    """systemd takes the timer and the service."""
    (analyze,) = servers.need("systemd-analyze")
    done = _run(analyze, "calendar", "*-*-* 03,15:00")
    assert done.returncode == 0, done.stderr
    units = [servers.DEPLOY / f"nyxlab-certificate.{kind}" for kind in ("service", "timer")]
    said = _run(analyze, "verify", "--man=no", *units).stderr
    ours = [line for line in said.splitlines() if "nyxlab-certificate" in line and "not executable" not in line]
    assert ours == []


def test_image_is_told_what_it_needs() -> None:
    """Every path that the Dockerfile copies gets past its ignore file, and the ledger and keys do not."""
    ignored = (servers.DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    copied = [
        line.split()[-2] for line in (servers.DEPLOY / "Dockerfile").read_text().splitlines() if "COPY --chown" in line
    ]
    assert {f"!{path}" for path in copied} <= set(ignored)
    assert not {"!.env", "!.git", "!.venv"} & set(ignored)

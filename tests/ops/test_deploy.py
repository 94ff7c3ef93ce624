"""A deploy over one SSH connection: real sshd, ssh and git; `docker` records what it is told, for lack of an engine."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import servers

# What docker does here: it writes down each call, has Compose check the real file, and plays what `NAME.does` says.
SHIM = """\
#!/usr/bin/env bash
set -u
printf '%s %s\\n' "$(git rev-parse HEAD 2>/dev/null)" "$*" >> {calls}
[[ $* == "compose version" ]] && {{ [[ -e {state}/no-plugin ]] && exit 1; exit 0; }}
if [[ $1 == compose ]]; then {compose} -f "$3" config --quiet || exit 9; fi
for step in build "up " "exec -T lab" "exec -T nginx"; do
  if [[ " $* " == *" $step"* && -e "{state}/hang-$step" ]]; then
    touch "{state}/reached"
    exec -a "{state}/hang" sleep 30
  fi
done
bad=$(cat {state}/bad 2>/dev/null)
if [[ -n $bad && " $* " == *" $(cat {state}/fails) "* && ${{NYXLAB_SHA-}} == "$bad" ]]; then exit 1; fi
[[ " $* " == *" up "* ]] && printf '%s' "$NYXLAB_SHA" > {state}/running
[[ $* == "image ls"* ]] && cat {state}/images 2>/dev/null
exit 0
"""


@dataclass
class Site:
    """A server with its checkout, and the administrator's key."""

    folder: Path
    port: int
    shas: list[str]  # revisions of main, the oldest first
    other: str  # a revision of another branch

    def ssh(
        self, asked: str, *, known: str = "known_hosts", port: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Ask the server for a revision as the workflow does."""
        (ssh,) = servers.need("ssh")
        command = [ssh, "-p", str(port or self.port), "-i", self.folder / "key", "-F", "/dev/null",
                   "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20",
                   "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={self.folder / known}",
                   f"{getpass.getuser()}@127.0.0.1", asked]  # fmt: skip
        return subprocess.run([str(each) for each in command], capture_output=True, text=True, timeout=100)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def running(self) -> str:
        """The revision whose containers were started last."""
        return (self.state / "running").read_text()

    @property
    def good(self) -> str:
        return (self.folder / "srv" / ".git" / "nyxlab-good").read_text().strip()

    def calls(self) -> list[str]:
        """What docker was told, without the revision that was checked out."""
        return [line.partition(" ")[2] for line in (self.folder / "calls").read_text().splitlines()]

    def fail(self, sha: str | None, step: str = "health") -> None:
        """Have a step of one revision fail; None: of none."""
        (self.state / "bad").write_text(sha or "")
        (self.state / "fails").write_text(step)


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.email=a@example.org", "-c", "user.name=a", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Site]:
    """An sshd with our sshd.conf, whose one key may run deploy.sh and nothing else, on a clone of a small origin."""
    sshd, _, keygen = servers.need("sshd", "ssh", "ssh-keygen")
    folder = tmp_path_factory.mktemp("server")
    folder.chmod(0o755)
    origin, shas = folder / "origin", []
    shutil.copytree(servers.DEPLOY, origin / "deploy")
    _git(origin, "init", "-q", "-b", "main")
    for number in range(4):
        (origin / "number").write_text(str(number))
        _git(origin, "add", "-A")
        _git(origin, "commit", "-qm", str(number))
        shas.append(_git(origin, "rev-parse", "HEAD"))
    _git(origin, "checkout", "-qb", "other")
    _git(origin, "commit", "-qm", "not on main", "--allow-empty")
    other = _git(origin, "rev-parse", "HEAD")
    subprocess.run(["git", "clone", "-q", "-b", "main", str(origin), str(folder / "srv")], check=True)
    for name in ("bin", "state", "tls"):
        (folder / name).mkdir()
    shim = SHIM.format(calls=folder / "calls", state=folder / "state", compose=servers.compose())
    (folder / "bin" / "docker").write_text(shim)
    (folder / "bin" / "docker").chmod(0o755)
    for name in ("key", "host", "host2"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    run = folder / "run.sh"  # stands for the environment of a server's user
    run.write_text(
        f"#!/bin/sh\nexport PATH={folder}/bin:$PATH NYXLAB_ROOT={folder}/srv NYXLAB_TLS={folder}/tls NYXLAB_PAUSE=0\n"
        f"exec {folder}/srv/deploy/deploy.sh\n"
    )
    run.chmod(0o755)
    (folder / "authorized_keys").write_text(f'restrict,command="{run}" {(folder / "key.pub").read_text()}')
    port = servers.free_port()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nInclude {servers.DEPLOY}/sshd.conf\nLogLevel VERBOSE\n"
    )
    for known, host in (("known_hosts", "host"), ("changed_hosts", "host2")):
        (folder / known).write_text(f"[127.0.0.1]:{port} {(folder / f'{host}.pub').read_text()}")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with servers.running([sshd, "-D", "-e", "-f", str(folder / "sshd_config")], folder / "sshd.log", port):
        yield Site(folder, port, shas, other)


@pytest.fixture
def site(server: Site) -> Site:
    """The server as it is after a good deploy of its first revision."""
    for path in server.state.iterdir():
        path.unlink()
    done = server.ssh(server.shas[0])
    assert done.returncode == 0, done.stderr + (server.folder / "sshd.log").read_text()[-2000:]
    (server.folder / "calls").write_text("")
    return server


def test_one_connection_deploys_the_revision(site: Site) -> None:
    """The revision asked for is fetched, built, started, found healthy, and nginx reloaded, all over one connection."""
    before = (site.folder / "sshd.log").read_text().count("Accepted publickey")
    (site.state / "images").write_text(f"{site.shas[0]}\n{site.shas[1]}\n{site.shas[2]}\n")
    done = site.ssh(site.shas[1])
    assert done.returncode == 0, done.stderr
    assert (site.folder / "sshd.log").read_text().count("Accepted publickey") == before + 1
    assert site.running == site.good == site.shas[1]
    told = [call.partition(".production.yml ")[2] for call in site.calls() if ".production.yml" in call]
    assert told == ["build lab", "up -d --wait --wait-timeout 180", "exec -T lab nyxlab health",
                    "exec -T nginx nginx -c /etc/nyxlab/nginx/nginx.conf -t",
                    "exec -T nginx nginx -c /etc/nyxlab/nginx/nginx.conf -s reload"]  # fmt: skip
    assert site.calls()[-1] == f"image rm nyxlab:{site.shas[2]}"  # what runs and the one before it stay


@pytest.mark.parametrize(
    "asked", ["$(id)", "a;id", "main", "{sha}; id", "", "{sha}0", "{SHA}", "{sha} {sha}", "{sha}\nid"]
)
def test_what_is_no_revision_is_refused(site: Site, asked: str) -> None:
    """Anything but forty digits is refused with exit code 64, and neither a shell nor docker is told of it."""
    sha = site.shas[1]
    done = site.ssh(asked.format(sha=sha, SHA=sha.upper()))
    assert (done.returncode, done.stdout) == (64, "")
    assert "give one revision" in done.stderr
    assert site.calls() == []


def test_a_revision_of_no_use_is_refused(site: Site) -> None:
    """A revision that main does not have is refused before anything is built, be it elsewhere or nowhere."""
    for asked in (site.other, "0" * 40):
        done = site.ssh(asked)
        assert done.returncode == 65
        assert "is no revision of main" in done.stderr
    assert site.calls() == ["compose version"] * 2
    assert site.running == site.shas[0]


def test_a_changed_host_key_stops_it(site: Site) -> None:
    """A server with another key than the one written down is asked for nothing; nor is one that is not there."""
    done = site.ssh(site.shas[1], known="changed_hosts")
    assert done.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr
    gone = site.ssh(site.shas[1], port=servers.free_port())
    assert gone.returncode == 255
    assert "Connection refused" in gone.stderr
    assert site.calls() == []


@pytest.mark.parametrize("step", ["build", "up", "health", "-t"])
def test_back_to_the_last_good_one(site: Site, step: str) -> None:
    """A revision that does not build, start, become healthy or suit nginx is taken back, with exit code 1."""
    site.fail(site.shas[2], step)
    done = site.ssh(site.shas[2])
    assert done.returncode == 1
    assert f"{site.shas[0]} runs again" in done.stderr
    assert site.running == site.good == site.shas[0]
    site.fail(None)
    assert site.ssh(site.shas[2]).returncode == 0
    assert site.running == site.good == site.shas[2]


def test_no_plugin_and_nothing_to_go_back_to(site: Site) -> None:
    """Without Compose's plugin, and where a first deploy fails, it says what to install or to look at."""
    (site.state / "no-plugin").touch()
    done = site.ssh(site.shas[1])
    assert (done.returncode, "install docker-compose-plugin" in done.stderr) == (69, True)
    (site.state / "no-plugin").unlink()
    (site.folder / "srv" / ".git" / "nyxlab-good").unlink()
    site.fail(site.shas[1])
    done = site.ssh(site.shas[1])
    assert (done.returncode, "there is none to go back to" in done.stderr) == (1, True)


def test_two_at_once_are_one_after_the_other(site: Site) -> None:
    """Two deploys at once do not mix: each one's calls to docker are together, and the end is the later one's."""
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(site.ssh, site.shas[1:3]))
    assert [done.returncode for done in ended] == [0, 0], [done.stderr for done in ended]
    told = (site.folder / "calls").read_text().splitlines()
    heads = [line.split()[0] for line in told if "production.yml" in line]
    assert len(heads) == 10
    assert heads == [heads[0]] * 5 + [heads[-1]] * 5
    assert site.running == site.good == heads[-1]


@pytest.mark.parametrize("step", ["build", "up ", "exec -T lab", "exec -T nginx"])
def test_killed_and_run_again(site: Site, step: str) -> None:
    """A deploy that is killed at any step leaves the last good one named, and run again it ends where it was to end."""
    (site.state / f"hang-{step}").touch()
    asking = threading.Thread(target=lambda: site.ssh(site.shas[3]))
    asking.start()
    servers.until(lambda: (site.state / "reached").exists(), f"the step {step}")
    mine = _processes(str(site.folder))
    assert mine
    for process in mine:
        os.kill(process, signal.SIGKILL)
    asking.join(30)
    assert site.good == site.shas[0]
    (site.state / f"hang-{step}").unlink()
    done = site.ssh(site.shas[3])
    assert done.returncode == 0, done.stderr
    assert site.running == site.good == site.shas[3]


def _processes(folder: str) -> list[int]:
    """Return the processes that a deploy in this folder has started: sshd itself and ssh are none of them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            name = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if folder in command and name not in {"ssh", "sshd"} and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def test_logins_in_quick_succession(site: Site) -> None:
    """Twenty of twenty commands get through while three connections hang; under a low limit they do not.

    What is dropped says "kex_exchange_identification", never "connection refused": that is nobody listening.
    """
    sshd, _ = servers.need("sshd", "ssh")
    port = servers.free_port()
    strict = site.folder / "strict_config"
    ours = (site.folder / "sshd_config").read_text().replace(f"Port {site.port}", f"Port {port}")
    strict.write_text(ours.replace(f"Include {servers.DEPLOY}/sshd.conf", "MaxStartups 2:100:3"))
    known = (site.folder / "known_hosts").read_text().replace(str(site.port), str(port))
    (site.folder / "strict_hosts").write_text(known)
    with servers.hanging(site.port, 3):
        with ThreadPoolExecutor(5) as pool:
            ended = list(pool.map(lambda _: site.ssh("no revision"), range(20)))
        assert [done.returncode for done in ended] == [64] * 20
    log = site.folder / "strict.log"
    with servers.running([sshd, "-D", "-e", "-f", str(strict)], log, port):
        servers.until(lambda: "Connection closed" in log.read_text(), "the end of our own look whether it is there")
        with servers.hanging(port, 3):
            dropped = site.ssh("no revision", known="strict_hosts", port=port)
    assert dropped.returncode == 255, log.read_text()
    assert "kex_exchange_identification" in dropped.stderr
    assert "refused" not in dropped.stderr

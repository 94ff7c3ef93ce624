#!/usr/bin/env bash
# The one command of the deploy key, as sshd's forced command: `ssh USER@HOST REVISION` deploys that revision of main.
# Where it does not become healthy the last good one is started again. Killed anywhere, it may simply be run again.
set -euo pipefail

ROOT=${NYXLAB_ROOT:-/srv/nyxlab}
export COMPOSE_FILE=deploy/docker-compose.production.yml

say() { echo "deploy: $1" >&2; }
compose() { docker compose -f "$COMPOSE_FILE" "$@"; }

start() { # of a revision: code, image, containers, web server; done when they are healthy
  export NYXLAB_SHA=$1
  git checkout --quiet --force --detach "$1" &&
    compose build lab &&
    compose up -d --wait --wait-timeout "${NYXLAB_PATIENCE:-180}" &&
    healthy && deploy/reload-nginx.sh
}

healthy() {
  for _ in 1 2 3 4 5; do
    compose exec -T lab nyxlab health && return
    sleep "${NYXLAB_PAUSE:-3}"
  done
  return 1
}

main() { # one function, read whole before it runs: the checkout below replaces this file
  local sha=${SSH_ORIGINAL_COMMAND-} good=.git/nyxlab-good before
  [[ $sha =~ ^[0-9a-f]{40}$ ]] || { say "give one revision, 40 digits of 0-9a-f, and nothing else"; exit 64; }
  cd "$ROOT"
  docker compose version &>/dev/null || { say "docker has no compose plugin: install docker-compose-plugin"; exit 69; }
  exec 9>.git/nyxlab-deploy.lock
  flock -w "${NYXLAB_WAIT:-1800}" 9 || { say "another deploy is still at work: try again later"; exit 75; }
  git fetch --quiet origin main || { say "git cannot fetch: give the server's key to the repository"; exit 1; }
  git merge-base --is-ancestor "$sha" origin/main 2>/dev/null || { say "$sha is no revision of main"; exit 65; }
  before=$(cat "$good" 2>/dev/null || true)
  if start "$sha"; then
    [[ $before == "$sha" ]] || echo "$before" >"$good.before"
    echo "$sha" >"$good.new" && mv "$good.new" "$good"
    docker image ls nyxlab --format '{{.Tag}}' | grep -vxF -e "$sha" -e "$(cat "$good.before")" |
      sed 's/^/nyxlab:/' | xargs -r docker image rm || true # two revisions stay, to go back at once
    say "$sha runs"
  elif [[ -z $before ]]; then
    say "$sha did not become healthy, and there is none to go back to: docker compose logs lab"; exit 1
  elif start "$before"; then
    say "$sha did not become healthy: $before runs again"; exit 1
  else
    say "neither $sha nor $before became healthy: docker compose logs lab"; exit 1
  fi
}

main; exit

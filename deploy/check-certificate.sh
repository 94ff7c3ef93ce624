#!/usr/bin/env bash
# Compare the certificate that https://$NYXLAB_HOST serves with the one on disk, in a container that may read both.
# It has a folder and a ledger of its own: as root it would leave files in the lab's that the lab cannot write.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
NYXLAB_SHA=$(cat ../.git/nyxlab-good)
export NYXLAB_SHA
docker compose -f docker-compose.production.yml run --rm --no-deps -T --user root --workdir /tmp -e NYXLAB_STORE= \
  -v /etc/letsencrypt:/etc/letsencrypt:ro lab nyxlab health --url "https://${NYXLAB_HOST:?the name of this site}" \
  --certificate /etc/letsencrypt/live/nyxlab/fullchain.pem

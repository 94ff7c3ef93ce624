#!/usr/bin/env bash
# certbot's deploy hook, and deploy.sh's last step: let nginx read its files again, if they are sound.
# Once there is a certificate the site is linked in; the link holds inside the container, where the files are.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
LIVE=${NYXLAB_LIVE:-/etc/letsencrypt/live/nyxlab} TLS=${NYXLAB_TLS:-/etc/nyxlab/tls}
export NYXLAB_SHA=${NYXLAB_SHA:-any} # the file wants one; what runs stays as it is
nginx() { docker compose -f docker-compose.production.yml exec -T nginx nginx -c /etc/nyxlab/nginx/nginx.conf "$@"; }

if [[ -e $LIVE/fullchain.pem && ! -L $TLS/tls.conf ]]; then ln -s /etc/nyxlab/nginx/tls.conf "$TLS/tls.conf"; fi
nginx -t
nginx -s reload

#!/usr/bin/env bash
# Makes stand-ins for the base images on a machine that cannot pull any: Debian by debootstrap, with this machine's own
# Node and npm, and Debian's Redis, tagged with the names that Dockerfile and docker-compose.yml ask for.
#
#   deploy/local-base.sh FOLDER      needs root, debootstrap and a Docker engine (DOCKER_HOST)
set -euo pipefail
folder=$1
root="$folder/base"

if [ ! -e "$root/usr/bin/redis-server" ]; then
  debootstrap --variant=minbase --include=ca-certificates,redis-server,libstdc++6 bookworm "$root"
fi
# The certificates of this machine: behind a proxy npm and apt trust nothing else.
install -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
install -m 755 "$(readlink -f "$(command -v node)")" "$root/usr/local/bin/node"
npm_home=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
mkdir -p "$root/usr/local/lib/node_modules"
cp -a --no-target-directory "$npm_home" "$root/usr/local/lib/node_modules/npm"
ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
chroot "$root" id node >/dev/null 2>&1 || chroot "$root" useradd --create-home --uid 1000 --user-group node
# As in the official image: no package lists.
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/archives/*.deb

tar -C "$root" -c . | docker import \
  --change 'CMD ["node"]' \
  --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt npm_config_cafile=/etc/ssl/certs/ca-certificates.crt' \
  - node:20-bookworm-slim
tar -C "$root" -c . | docker import --change 'CMD ["redis-server"]' --change 'WORKDIR /data' - redis:7-bookworm

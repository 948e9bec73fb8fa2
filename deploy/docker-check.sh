#!/usr/bin/env bash
# Builds the image, starts Redis, the API and three workers with docker-compose.yml, runs the shipped workflow on them
# with the scripted provider, and takes it all down again. Prints what it saw, with times; ends with 1 when anything
# did not hold. Works with the engine that DOCKER_HOST or the default socket names. Without one, root gets a private
# engine; where no image can be pulled, local-base.sh makes stand-ins (both need Debian's docker.io, docker-compose,
# iptables and debootstrap).
#
#   deploy/docker-check.sh [FOLDER]      FOLDER keeps the private engine's images for the next time
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"
workers=3
failed=0
engine=''

note() { printf '%5ss  %s\n' "$SECONDS" "$*"; }
check() {
  local what=$1
  shift
  if "$@"; then note "ok    $what"; else note "FAIL  $what"; failed=$((failed + 1)); fi
}

if ! docker info >/dev/null 2>&1; then
  export DOCKER_HOST="unix://$folder/docker.sock"
  dockerd --data-root "$folder/data" --exec-root "$folder/exec" --host "$DOCKER_HOST" --pidfile "$folder/docker.pid" \
    >"$folder/dockerd.log" 2>&1 &
  engine=$!
  for _ in $(seq 60); do docker info >/dev/null 2>&1 && break; sleep 0.5; done
fi
note "engine $(docker version --format '{{.Server.Version}}')"

export MAESTRO_TOKEN REDIS_PASSWORD MAESTRO_PORT=${MAESTRO_PORT:-4010} COMPOSE_PROJECT_NAME=maestro-check
MAESTRO_TOKEN=$(node -p 'require("node:crypto").randomBytes(24).toString("hex")')
REDIS_PASSWORD=$(node -p 'require("node:crypto").randomBytes(24).toString("hex")')
# The scripted provider stands in for the model: no key, no cost, and every result is stamped as simulated.
unset "${!ANTHROPIC_@}"
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
compose+=(--file docker-compose.yml --file deploy/docker-compose.scripted.yml)

clean_up() {
  [ "$failed" -eq 0 ] || "${compose[@]}" logs --no-color --tail 40 || true
  "${compose[@]}" down --volumes --timeout 20 >/dev/null 2>&1 || true
  if [ -n "$engine" ]; then kill "$engine" && wait "$engine" || true; fi
}
trap clean_up EXIT

for image in node:20-bookworm-slim redis:7-bookworm; do
  docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" >/dev/null 2>&1 || {
    deploy/local-base.sh "$folder" >/dev/null
    break
  }
done
note 'base images are there'

docker build --quiet --tag maestro-fleet . >/dev/null 2>"$folder/build.log" || { cat "$folder/build.log"; exit 1; }
note "image built: $(docker image inspect --format '{{.Size}}' maestro-fleet | awk '{printf "%.0f MB", $1 / 1e6}')"

"${compose[@]}" up --detach --scale worker="$workers" >/dev/null 2>&1
note 'up'
healthy() { docker ps --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter health=healthy --quiet | wc -l; }
for _ in $(seq 120); do [ "$(healthy)" -eq $((workers + 2)) ] && break; sleep 1; done
check "redis, api and $workers workers are healthy" [ "$(healthy)" -eq $((workers + 2)) ]

api="http://127.0.0.1:$MAESTRO_PORT"
status_of() { curl --silent --output /dev/null --write-out '%{http_code}' "$@"; }
check 'the API is ready' [ "$(status_of "$api/readyz")" = 200 ]
check 'the API asks for its token' [ "$(status_of "$api/api/runs")" = 401 ]
check 'the API knows its token' [ "$(status_of --header "Authorization: Bearer $MAESTRO_TOKEN" "$api/api/runs")" = 200 ]
check 'Redis lets nobody in without the password' [ "$("${compose[@]}" exec -T redis env -u REDISCLI_AUTH redis-cli ping 2>&1 | head -c 6)" = NOAUTH ]
check 'Redis keeps an append-only file and evicts nothing' [ "$("${compose[@]}" exec -T redis redis-cli config get appendonly | tail -1) $("${compose[@]}" exec -T redis redis-cli config get maxmemory-policy | tail -1)" = 'yes noeviction' ]
environment_of() { "${compose[@]}" exec -T "$1" env; }
check 'the API is not root' [ "$("${compose[@]}" exec -T api id -u)" != 0 ]
check 'no key is in the image or the API' [ "$(docker image inspect --format '{{.Config.Env}}' maestro-fleet | grep -c ANTHROPIC) $(environment_of api | grep -c ANTHROPIC)" = '0 0' ]

run_workflow() {
  timeout 600 "${compose[@]}" exec -T api maestro run url-shortener --provider scripted \
    --input requirement='Shorten long links, and count how often each one is followed.' --json >"$folder/run.json"
}
check 'the shipped workflow runs to its end on the workers' run_workflow
note "run: $(node -p 'const r = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8")); [r.runId, r.status, r.simulated ? "simulated" : ""].join(" ")' "$folder/run.json" 2>&1 | tail -1)"

note "$failed checks failed"
[ "$failed" -eq 0 ]

#!/bin/sh
# Starts a run with nothing but curl, shows its events, and tells how it ended: exit 0 when it passed, 3 when it did not.
# MAESTRO_API_URL=http://127.0.0.1:4000 [MAESTRO_TOKEN=...] sh examples/run.sh [WORKFLOW] [REQUIREMENT]
set -eu
api=${MAESTRO_API_URL:-http://127.0.0.1:4000}
workflow=${1:-url-shortener}
requirement=${2:-A team wants a service that shortens links.}
ask() { curl --silent --show-error --fail-with-body ${MAESTRO_TOKEN:+--header "Authorization: Bearer $MAESTRO_TOKEN"} "$@"; }
# A text as JSON writes it; other control characters than line ends and tabs are left out.
quoted() {
  printf '%s\n' "$1" | tr -d '\000-\010\013-\037' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e "s/$(printf '\t')/\\\\t/g" |
    awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }'
}

# The key makes it safe to repeat the request: the answer is the same run. It must differ from run to run.
started=$(ask --retry 3 --retry-connrefused --header 'Content-Type: application/json' \
  --header "Idempotency-Key: $(date +%s)-$$" \
  --data "{\"inputs\": {\"requirement\": \"$(quoted "$requirement")\"}}" "$api/api/workflows/$workflow/execute") || {
  code=$?
  printf '%s\n' "$started" >&2
  exit "$code"
}
run=$(printf '%s' "$started" | sed 's/.*"runId":"\([0-9A-Z]*\)".*/\1/')
echo "run $run"

# The stream ends with the run. `Last-Event-ID: 7` would go on after the seventh event.
# What curl came to goes past the pipe, whose own exit code is that of sed.
exec 4>&1
code=$({ { ask --no-buffer --header 'Accept: text/event-stream' "$api/api/runs/$run/events" && echo 0 >&3 || echo "$?" >&3; } |
  sed -n 's/^event: //p' >&4; } 3>&1)
[ "$code" = 0 ] || exit "$code"
report=$(ask "$api/api/runs/$run/report")
# Of the run itself, which comes first; what follows tells of its phases.
of_run() { printf '%s' "$report" | sed -e 's/,"gates":{.*//' -e "s/.*\"$1\":\"\{0,1\}\([a-z_]*\).*/\1/"; }
echo "status $(of_run status), simulated $(of_run simulated)"
[ "$(of_run status)" = passed ] || exit 3

#!/bin/sh
# Starts a run with nothing but curl, shows its events, and tells how it ended.
# MAESTRO_API_URL=http://127.0.0.1:4000 [MAESTRO_TOKEN=...] sh examples/run.sh [WORKFLOW] [REQUIREMENT]
set -eu
api=${MAESTRO_API_URL:-http://127.0.0.1:4000}
workflow=${1:-url-shortener}
requirement=${2:-A team wants a service that shortens links.}
ask() { curl --silent --show-error --fail-with-body ${MAESTRO_TOKEN:+--header "Authorization: Bearer $MAESTRO_TOKEN"} "$@"; }

# The key makes it safe to repeat the request: the answer is the same run. It must differ from run to run.
started=$(ask --retry 3 --retry-connrefused --header 'Content-Type: application/json' \
  --header "Idempotency-Key: $(date +%s)-$$" \
  --data "{\"inputs\": {\"requirement\": \"$requirement\"}}" "$api/api/workflows/$workflow/execute")
run=$(printf '%s' "$started" | sed 's/.*"runId":"\([0-9A-Z]*\)".*/\1/')
echo "run $run"

# The stream ends with the run. `Last-Event-ID: 7` would go on after the seventh event.
ask --no-buffer --header 'Accept: text/event-stream' "$api/api/runs/$run/events" | sed -n 's/^event: //p'
ask "$api/api/runs/$run/report" | sed 's/.*"status":"\([a-z_]*\)".*"simulated":\([a-z]*\).*/status \1, simulated \2/'

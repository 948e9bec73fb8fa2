"""Starts a run with Python's standard library alone, follows its events, and goes on where it was when a connection breaks.

MAESTRO_API_URL=http://127.0.0.1:4000 [MAESTRO_TOKEN=...] python3 examples/run.py [WORKFLOW] [REQUIREMENT]
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

API = os.environ.get("MAESTRO_API_URL", "http://127.0.0.1:4000").rstrip("/")
TOKEN = os.environ.get("MAESTRO_TOKEN")
SILENCE_SECONDS = 60  # The server shows a sign of life every 15 seconds.


def ask(path, body=None, headers=None):
    request = urllib.request.Request(API + path, headers={"Accept": "application/json", **(headers or {})})
    if TOKEN:
        request.add_header("Authorization", f"Bearer {TOKEN}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    return urllib.request.urlopen(request, timeout=SILENCE_SECONDS)


def server_sent_events(response):
    """Yields the id and data of each event of one connection."""
    last_id, data = "", []
    for raw in response:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("id:"):
            last_id = line[3:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].lstrip(" "))
        elif line == "" and data:
            yield last_id, "\n".join(data)
            data = []


def events(run_id):
    """Yields the events of a run until it has ended, each once, however often the connection breaks."""
    last_id, failures = "0", 0
    while True:
        try:
            with ask(f"/api/runs/{run_id}/events", headers={"Accept": "text/event-stream", "Last-Event-ID": last_id}) as response:
                if response.status == 204:
                    return
                for last_id, data in server_sent_events(response):
                    failures = 0
                    yield json.loads(data)
        except urllib.error.HTTPError:
            raise
        except OSError:
            failures += 1
            if failures > 10:
                raise
        # The server answers 204 when there is nothing left to tell.
        time.sleep(min(5.0, 0.1 * 2**failures))


def main():
    workflow = sys.argv[1] if len(sys.argv) > 1 else "url-shortener"
    requirement = sys.argv[2] if len(sys.argv) > 2 else "A team wants a service that shortens links."
    key = {"Idempotency-Key": str(uuid.uuid4())}
    try:
        with ask(f"/api/workflows/{workflow}/execute", {"inputs": {"requirement": requirement}}, key) as response:
            run_id = json.load(response)["runId"]
        print(f"run {run_id}", flush=True)
        ended = None
        for event in events(run_id):
            if event["type"] == "phase.status":
                print(f"{event['phase']}: {event['status']}", flush=True)
            if event["type"] == "run.finished":
                ended = event
    except urllib.error.HTTPError as error:
        # Refusals are problem documents: a code, what is wrong, and what to do.
        problem = json.load(error)
        sys.exit(f"{problem['code']}: {problem['detail']} {problem.get('remedy', '')}")
    print(ended["status"] + (" [simulated]" if ended["simulated"] else ""))
    sys.exit(0 if ended["status"].startswith("passed") else 3)


main()

#!/bin/sh
# Start a cluster, classify three photos, run the benchmark, stop the cluster. Called by `make demo`.
set -eu
cd "$(dirname "$0")/.."
home=$(mktemp -d "${TMPDIR:-/tmp}/sealflow-demo.XXXXXX")
images=${IMAGES:-1000}

step() { printf '\n== %s\n' "$*"; }

stop() {
  [ -z "${cluster:-}" ] || { kill -TERM "$cluster" 2>/dev/null || true; wait "$cluster" 2>/dev/null || true; }
  rm -rf "$home"
}
trap stop EXIT
trap 'exit 130' INT TERM

step "Start: queue, key broker, workers, gateway"
sealflow up --home "$home" --model examples/efficientnet-lite0 --port 0 --json >"$home.ready" 2>"$home.log" &
cluster=$!
while [ ! -s "$home.ready" ]; do
  kill -0 "$cluster" 2>/dev/null || { cat "$home.log" >&2; rm -f "$home.ready" "$home.log"; exit 1; }
  sleep 0.2
done
cat "$home.log"
rm -f "$home.ready" "$home.log"

step "Verify the service, as a client does before it sends anything"
sealflow verify --home "$home"

step "Seal three photos, have them classified, open the answers"
sealflow infer --home "$home" examples/photos/*.jpg

step "Benchmark: push $images photos, pull $images answers, check every one"
sealflow bench --home "$home" -n "$images" -i examples/photos

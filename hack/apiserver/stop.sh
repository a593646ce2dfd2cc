#!/bin/bash
# stop.sh STATE: ends what run.sh started there and waits until the API server and etcd are gone; STATE stays.
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 STATE" >&2; exit 2; }

running=() # only processes that work in this state: the numbers may be others' by now
for name in pid etcd.pid; do
  pid=$(cat "$1/$name" 2>/dev/null) || continue
  if grep -qaF "$1" "/proc/$pid/cmdline" 2>/dev/null; then running+=("$pid"); fi
done
[ ${#running[@]} -gt 0 ] || exit 0

gone() { # gone PID: at most 20 s, and a little more on a busy machine
  for _ in $(seq 1000); do
    grep -qs '^State:[[:space:]]*[^Z]' "/proc/$1/status" || return 0
    sleep 0.02
  done
  return 1
}

kill "${running[0]}" 2>/dev/null || true # etcd ends with the API server
for pid in "${running[@]}"; do
  gone "$pid" && continue
  kill -KILL "$pid" 2>/dev/null || true
  gone "$pid"
done

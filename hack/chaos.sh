#!/usr/bin/env bash
# Real proxies in network namespaces, and what can happen to them: kills, black holes, resets, drops, cut links, slow, lossy and
# reordering links (in user space), shortages. Each row has a figure and a target; the last line is `N rows held, M failed`.
#
#   hack/chaos.sh              all rows, whole (some hours: B16 alone takes one)
#   hack/chaos.sh --quick      all rows, each for some seconds
#   hack/chaos.sh [--quick] B1 R2     only these
#   hack/chaos.sh --list       what there is
#   CHAOS_SEED=N [CHAOS_SCRIPT=K] hack/chaos.sh --quick B6    the conversations (or the one) that failed, again
#
# Needs root. TIELINE_BIN names the folder of the binaries (default: the release build, which is made). Everything lives in
# namespaces of its own, and goes with this process, however that ends.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "hack/chaos.sh: needs root for network namespaces" >&2; exit 1; }
hack/install-deps.sh --check 2>/dev/null || hack/install-deps.sh
if [ -z "${TIELINE_BIN:-}" ]; then
  hack/build.sh
  export TIELINE_BIN=$PWD/.build/release
fi
# With a /run of its own for the names of namespaces and for files. `unshare` takes the rest along when it is killed, and is killed
# when this shell ends: by itself it lets neither SIGTERM nor SIGINT through.
setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child=SIGKILL --mount-proc sh -c '
  mount -t tmpfs tmpfs /run && mkdir /run/netns /run/tmp && export TMPDIR=/run/tmp && ip link set lo up && ulimit -n "$(ulimit -Hn)" &&
    exec "$@"
' chaos python3 Tests/Chaos/run.py "$@" &
namespaces=$!
trap 'kill -KILL $namespaces; exit 130' INT TERM HUP
wait "$namespaces"

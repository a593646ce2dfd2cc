#!/usr/bin/env bash
# Measures Tieline beside HAProxy, nginx and the least that TLS costs; prints a table and how the targets of bench/targets.json fare.
#
#   hack/bench.sh            five rounds, some 12 min
#   hack/bench.sh --quick    three short rounds, under 4 min
#   hack/bench.sh --more     three sites too, and two loops beside one where there are four cores
#   hack/bench.sh --only haproxy     Tieline and one peer
#
# Builds a release first. Needs two cores, and root if HAProxy or nginx has to be installed. Results are kept in bench/results.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(nproc)" -ge 2 ] || { echo "hack/bench.sh: needs two cores: one for the proxies, one for the load" >&2; exit 1; }
peers=(haproxy nginx libnginx-mod-stream)
dpkg-query -W "${peers[@]}" >/dev/null 2>&1 || hack/install-deps.sh "${peers[@]}"

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
cc -O2 -Wall -Wextra -Werror -o "$tools/load" bench/load.c
cc -O2 -Wall -Wextra -Werror -o "$tools/pump" bench/pump.c -lssl -lcrypto -lpthread
[ -n "${TIELINE_BIN:-}" ] || hack/build.sh tieline-proxy
ulimit -n "$(ulimit -Hn)"
BENCH_TOOLS=$tools python3 bench/bench.py "$@"

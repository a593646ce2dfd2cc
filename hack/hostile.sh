#!/usr/bin/env bash
# A hostile member site against real proxies on loopback: an honest site beside it must not notice. Root puts it into a network
# of its own, and before what else the machine does.
#
#   hack/hostile.sh             all entries
#   hack/hostile.sh D4 D6       only these
#   hack/hostile.sh --short     the reduced form, part of hack/test.sh: each attack once, and bounds that a busy machine keeps
#
# TIELINE_BIN names the folder of the binaries (default: the release build, which is made).
set -euo pipefail
cd "$(dirname "$0")/.."

# Debian's own Python: python3-cryptography is its package.
python=/usr/bin/python3
"$python" -c 'import cryptography' 2>/dev/null || hack/install-deps.sh
if [ -z "${TIELINE_BIN:-}" ]; then
  hack/build.sh tieline-proxy
  export TIELINE_BIN=$PWD/.build/release
fi
[ "$(id -u)" = 0 ] || exec "$python" Tests/Hostile/run.py "$@"
exec unshare -n sh -c 'ip link set lo up && exec "$@"' hostile "$python" Tests/Hostile/run.py "$@"

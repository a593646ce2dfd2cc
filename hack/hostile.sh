#!/usr/bin/env bash
# A hostile member site against real proxies on loopback: an honest site beside it must not notice.
#
#   hack/hostile.sh             all entries
#   hack/hostile.sh D4 D6       only these
#   hack/hostile.sh --short     the reduced form: less of everything
#
# TIELINE_BIN names the folder of the binaries (default: the release build, made when it is missing).
set -euo pipefail
cd "$(dirname "$0")/.."

# Debian's own Python: python3-cryptography is its package.
python=/usr/bin/python3
"$python" -c 'import cryptography' 2>/dev/null || hack/install-deps.sh
if [ -z "${TIELINE_BIN:-}" ]; then
  swift build -c release --product tieline-proxy
  export TIELINE_BIN=$PWD/.build/release
fi
exec "$python" Tests/Hostile/run.py "$@"

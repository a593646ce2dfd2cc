#!/usr/bin/env bash
# Histories of Sites, Links and Services on a test cluster; every state that is stored is judged by kstatus's and Flux's rules,
# and by what was true at that moment.
#
#   hack/histories.sh [--workers N] [WORD...]     all, or those whose title contains one of the words
#
# TIELINE_BIN: where the programs are (default: the release build). The last line says `N histories held, M failed`.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 Tests/EndToEnd/run_histories.py "$@"

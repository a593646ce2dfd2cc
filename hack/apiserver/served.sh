#!/usr/bin/env bash
# served.sh CRD...: waits, 20 s at most, until the API server of $KUBECONFIG serves the custom resources.
#
# `kubectl wait` alone is not enough: it fails at once where a definition is so new that its conditions are still null.
set -euo pipefail
deadline=$((SECONDS + 20))
until said=$(kubectl wait --for=condition=Established "${@/#/crd/}" --timeout=20s 2>&1); do
  [ $SECONDS -lt $deadline ] || { echo "served.sh: $said" >&2; exit 1; }
  sleep 0.05
done

#!/usr/bin/env bash
# Shows that charts/tieline, rendered by Helm's own engine, is manifests/ object by object, and that a release installs,
# tests itself, upgrades and goes on a real API server while the definitions stay. It runs the built controller (TIELINE_BIN:
# the folder it is in; default .build/debug).
#
#   hack/check-chart.sh [--update]   --update copies CRDs and policies from manifests/ into the chart first
#
# Helm comes from PyPI (helm-python-sdk carries it) into ${XDG_CACHE_HOME:-~/.cache}/tieline/helm, once.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.2.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tieline/helm-$version
works() { "$cache/venv/bin/python" -c 'import helm_python, yaml' 2>/dev/null; }
make_venv() { # also when the system's Python is another one since; parallel runs wait for each other
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock 9
  works || { python3 -m venv --clear "$cache/venv" &&
    "$cache/venv/bin/pip" install --quiet --disable-pip-version-check "helm-python-sdk==$version" PyYAML==6.0.2; } ||
    { echo "hack/check-chart.sh: cannot install the PyPI packages helm-python-sdk $version and PyYAML 6.0.2" >&2; exit 1; }
  exec 9>&-
}
works || make_venv

for file in manifests/{crds,admission}/*.yaml; do
  [ "$(basename "$file")" != kustomization.yaml ] || continue
  copy=charts/tieline/files/${file#manifests/}
  if [ "${1:-}" = --update ]; then cp "$file" "$copy"; fi
  diff -u "$copy" "$file" || { echo "hack/check-chart.sh: $copy is not $file; run hack/check-chart.sh --update" >&2; exit 1; }
done

kubectl=$(hack/kubectl.sh)
PATH=${kubectl:+$kubectl:}$PATH
state=$(mktemp -d)
trap 'hack/apiserver/stop.sh "$state" || true; rm -rf "$state"' EXIT
hack/apiserver/run.sh "$state" >/dev/null
kubectl kustomize manifests >"$state/manifests.yaml"
KUBECONFIG=$state/kubeconfig "$cache/venv/bin/python" hack/check-chart.py charts/tieline "$state" "${TIELINE_BIN:-.build/debug}"

#!/usr/bin/env bash
# Shows that charts/tieline, rendered by Helm's own engine, is manifests/ object by object, and that a release installs,
# upgrades and goes on a real API server while the definitions stay.
#
#   hack/check-chart.sh [--update]   --update copies the CRDs from manifests/ into the chart first
#
# Helm comes from PyPI (helm-python-sdk carries it) into ${XDG_CACHE_HOME:-~/.cache}/tieline/helm, once.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.2.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tieline/helm-$version
if [ ! -e "$cache/ready" ]; then
  mkdir -p "$cache"
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check "helm-python-sdk==$version" PyYAML==6.0.2 ||
    { echo "hack/check-chart.sh: cannot install the PyPI packages helm-python-sdk $version and PyYAML 6.0.2" >&2; exit 1; }
  touch "$cache/ready"
fi

for file in manifests/crds/{sites,links,services}.yaml; do
  copy=charts/tieline/files/crds/$(basename "$file")
  if [ "${1:-}" = --update ]; then cp "$file" "$copy"; fi
  diff -u "$copy" "$file" || { echo "hack/check-chart.sh: $copy is not $file; run hack/check-chart.sh --update" >&2; exit 1; }
done

kubectl=$(hack/kubectl.sh)
PATH=${kubectl:+$kubectl:}$PATH
state=$(mktemp -d)
trap 'hack/apiserver/stop.sh "$state" || true; rm -rf "$state"' EXIT
hack/apiserver/run.sh "$state" >/dev/null
kubectl kustomize manifests >"$state/manifests.yaml"
KUBECONFIG=$state/kubeconfig "$cache/venv/bin/python" hack/check-chart.py charts/tieline "$state"

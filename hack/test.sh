#!/usr/bin/env bash
# The one test command.
#
#   hack/test.sh             everything that CI runs
#   hack/test.sh fast        format, import table, unit tests (no root, no API server)
#   hack/test.sh e2e [NAME]  only the end-to-end tests (all, or those whose name contains NAME)
#
# CONTRIBUTING.md lists the commands for parts of it.
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:-all}
began=$SECONDS
cleanup=()
finish() {
  local code=$?
  for command in "${cleanup[@]:-}"; do eval "$command" || true; done
  echo "hack/test.sh $what: $([ $code = 0 ] && echo passed || echo FAILED) after $((SECONDS - began)) s"
}
trap finish EXIT
# Else the end by a signal would be told as a success.
trap 'exit 130' INT
trap 'exit 143' TERM

step() { # step NAME COMMAND...: runs it, says how long it took
  local name=$1 at=$SECONDS
  shift
  echo "== $name"
  "$@"
  echo "== $name: $((SECONDS - at)) s"
}

format() { swift format lint --strict --recursive --parallel Package.swift Sources Tests hack; }

need_root() { # at once, not after minutes
  [ "$(id -u)" = 0 ] || { echo "hack/test.sh $what: needs root for network namespaces; hack/test.sh fast needs none" >&2; exit 1; }
}

need_deps() { hack/install-deps.sh --check 2>/dev/null || hack/install-deps.sh; }

use_kubectl() { # puts one on the PATH that is new enough
  local folder
  folder=$(hack/kubectl.sh)
  PATH=${folder:+$folder:}$PATH
}

test_programs() { # what is not ours; the images' libraries come over the network while the API server is built
  local folder
  folder=$(mktemp -d "${TMPDIR:-/tmp}/tieline-images-XXXXXX")
  cleanup+=("rm -rf $folder")
  hack/images/node.sh "$folder" "$folder" &
  local images=$!
  hack/apiserver/build.sh
  wait $images
}

test_api_server() { # starts one API server for the tests that take TIELINE_TEST_KUBECONFIG
  local state
  state=$(mktemp -d "${TMPDIR:-/tmp}/tieline-test-XXXXXX")
  cleanup+=("hack/apiserver/stop.sh $state; rm -rf $state")
  TIELINE_TEST_KUBECONFIG=$(hack/apiserver/run.sh "$state" | tail -1)
  export TIELINE_TEST_KUBECONFIG
}

fast() {
  step "format" format
  step "import table" python3 hack/check-imports.py
  step "functions" python3 hack/check-functions.py
  step "layers of the proxy" python3 hack/check-layers.py
  step "build" build_tests
  step "unit tests" unit_tests
}

# Of the package of hack, into the same folder: a plan of the other package that is kept there would be taken for its own.
tools=(--package-path hack --scratch-path .build --disable-build-manifest-caching)

build_tests() {
  swift build --build-tests --disable-build-manifest-caching
  swift build "${tools[@]}" --product tieline-hackPackageTests
}

# The tests of the data plane beside all others: both wait more than they work. In each half one test after the other: they share a
# process, count its descriptors and hold each other to deadlines. What hack/Package.swift has comes after one of them.
unit_tests() {
  local folder half code=0 data_plane='^(ProxyControlTests|ProxyTransportTests|StreamTests)\.'
  folder=$(mktemp -d "${TMPDIR:-/tmp}/tieline-unit-XXXXXX")
  cleanup+=("rm -rf $folder")
  [ "$(ulimit -Sn)" -ge 4096 ] || ulimit -Sn 4096 # they hold both ends, and the middle, of hundreds of connections
  swift test --skip-build --ignore-lock --no-parallel --filter "$data_plane" >"$folder/data-plane" 2>&1 &
  local other=$!
  swift test --skip-build --ignore-lock --no-parallel --skip "$data_plane" >"$folder/others" 2>&1 || code=1
  swift test "${tools[@]}" --skip-build --ignore-lock --no-parallel >"$folder/tools" 2>&1 || code=1
  wait $other || code=1
  for half in others tools data-plane; do report_tests "$folder/$half"; done
  return $code
}

report_tests() { # report_tests LOG: what passed; at the end what failed, for thousands of lines come before
  grep -v '^◇' "$1" || true
  grep -q '^✔ Test run with .* passed' "$1" && return
  echo "-- what failed, and what ran last"
  grep -A 8 '^✘ Test .* recorded an issue' "$1" | grep -v -e '^◇' -e '^✔' || true
  tail -5 "$1"
}

# They wait more than they work, each for an API server of its own, and end by themselves in any case.
api_checks() {
  local folder check pid others=() code=0
  folder=$(mktemp -d "${TMPDIR:-/tmp}/tieline-checks-XXXXXX")
  cleanup+=("rm -rf $folder")
  for check in apiserver/check check-manifests check-rights check-chart; do
    "hack/$check.sh" >"$folder/${check//\//-}" 2>&1 &
    others+=($!)
  done
  for pid in "${others[@]}"; do wait "$pid" || code=1; done
  cat "$folder"/*
  return $code
}

# Both wait more than they work, each on a cluster of its own. The one in the background ends by itself in any case, and takes its
# cluster along.
controller_faults() {
  local log code=0
  log=$(mktemp "${TMPDIR:-/tmp}/tieline-kill-XXXXXX")
  cleanup+=("rm -f $log")
  TIELINE_BIN="$PWD/.build/release" python3 hack/kill-after-write.py --sample >"$log" 2>&1 &
  local other=$!
  TIELINE_BIN="$PWD/.build/release" python3 hack/unknown-inputs.py --sample || code=1
  wait $other || code=1
  cat "$log"
  return $code
}

case $what in
  fast) fast ;;
  e2e)
    shift
    need_root
    use_kubectl
    step "release build" hack/build.sh
    step "end-to-end tests" python3 Tests/EndToEnd/run.py "$@"
    ;;
  all)
    need_root
    step "dependencies" need_deps
    use_kubectl
    step "test API server" test_programs
    test_api_server
    fast
    step "health checks of Argo CD" python3 hack/check-argocd.py
    step "API server, manifests, rights, chart" api_checks
    step "release build" hack/build.sh
    step "test cluster" python3 hack/check-cluster.py
    step "what cannot be read, and kills around writes" controller_faults
    step "random conversations" env TIELINE_BIN="$PWD/.build/release" hack/chaos.sh --quick B6 R6
    step "hostile neighbors" env TIELINE_BIN="$PWD/.build/release" hack/hostile.sh --short
    step "size" env TIELINE_BIN="$PWD/.build/release" hack/scale.sh --quick
    step "end-to-end tests" python3 Tests/EndToEnd/run.py
    ;;
  *)
    echo "usage: hack/test.sh [all|fast|e2e [NAME]]" >&2
    exit 2
    ;;
esac

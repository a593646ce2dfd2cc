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
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tieline-test-XXXXXX")
cleanup=("rm -rf $scratch")
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
  mkdir "$scratch/images"
  hack/images/node.sh "$scratch/images" "$scratch/images" &
  local images=$!
  hack/apiserver/build.sh
  wait $images
}

test_api_server() { # starts one API server for the tests that take TIELINE_TEST_KUBECONFIG
  local state=$scratch/apiserver
  mkdir "$state"
  cleanup=("hack/apiserver/stop.sh $state" "${cleanup[@]}")
  TIELINE_TEST_KUBECONFIG=$(hack/apiserver/run.sh "$state" | tail -1)
  export TIELINE_TEST_KUBECONFIG
}

checks() {
  step "format" format
  step "import table" python3 hack/check-imports.py
  step "functions" python3 hack/check-functions.py
  step "layers of the proxy" python3 hack/check-layers.py
}

# Of the package of hack, into the same folder: a plan of the other package that is kept there would be taken for its own.
tools=(--package-path hack --scratch-path .build --disable-build-manifest-caching)

build_tests() {
  swift build --build-tests --disable-build-manifest-caching
  swift build "${tools[@]}" --product tieline-hackPackageTests
}

# The tests of the data plane, those of the controller (on the API server, if there is one) and all others side by side: they wait more
# than they work. In each part one test after the other: they share a process, count its descriptors and hold each other to
# deadlines. What hack/Package.swift has comes after one of them. The runners are called as `swift test` calls them: it would read
# the state of a build that may be going on.
unit_tests() {
  local folder=$scratch/unit part code=0 others=()
  local data_plane='^(ProxyControlTests|ProxyTransportTests|StreamTests)\.' controller='^ControllerTests\.'
  mkdir "$folder"
  [ "$(ulimit -Sn)" -ge 4096 ] || ulimit -Sn 4096 # they hold both ends, and the middle, of hundreds of connections
  run_tests tieline --filter "$data_plane" >"$folder/data-plane" 2>&1 &
  others+=($!)
  run_tests tieline --filter "$controller" >"$folder/controller" 2>&1 &
  others+=($!)
  run_tests tieline --skip "$data_plane" --skip "$controller" >"$folder/others" 2>&1 || code=1
  run_tests tieline-hack >"$folder/tools" 2>&1 || code=1
  for part in "${others[@]}"; do wait "$part" || code=1; done
  for part in others tools controller data-plane; do report_tests "$folder/$part" || code=1; done
  return $code
}

run_tests() { ".build/debug/$1PackageTests.xctest" --testing-library swift-testing --no-parallel "${@:2}"; } # run_tests PACKAGE WORDS...

report_tests() { # report_tests LOG: what passed; at the end what failed, for thousands of lines come before
  grep -v '^◇' "$1" || true
  if grep 'a fault of Tieline itself' "$1"; then return 1; fi # Sources/Proxy/Loop/Mishap.swift
  grep -q '^✔ Test run with .* passed' "$1" && return
  echo "-- what failed, and what ran last"
  grep -A 8 '^✘ Test .* recorded an issue' "$1" | grep -v -e '^◇' -e '^✔' || true
  tail -5 "$1"
  return 1
}

# side_by_side COMMAND...: each in the background; what each says comes when all have ended. Each ends by itself in any case, and
# takes along what it has started.
side_by_side() {
  local folder command number=0 pid others=() code=0
  folder=$(mktemp -d "$scratch/beside-XXXXXX")
  for command in "$@"; do
    number=$((number + 1))
    $command >"$folder/$number" 2>&1 &
    others+=($!)
  done
  for pid in "${others[@]}"; do wait "$pid" || code=1; done
  for ((pid = 1; pid <= number; pid++)); do cat "$folder/$pid"; done
  return $code
}

api_checks() { side_by_side hack/apiserver/check.sh hack/check-manifests.sh hack/check-rights.sh hack/check-chart.sh; }

# The parts that go side by side, as commands.
all_unit_tests() { step "unit tests" unit_tests; }
all_api_checks() { step "API server, manifests, rights, chart" api_checks; }
release_build() { step "release build" nice hack/build.sh; } # after what has deadlines
test_cluster() { step "test cluster" python3 hack/check-cluster.py; }
unknown_inputs() { step "what cannot be read" python3 hack/unknown-inputs.py --sample; }
kills() { step "kills around writes" python3 hack/kill-after-write.py --sample; }

case $what in
  fast)
    checks
    step "build" build_tests
    step "unit tests" unit_tests
    ;;
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
    checks
    step "health checks of Argo CD" python3 hack/check-argocd.py
    step "build" build_tests
    step "release build, unit tests, checks on API servers" side_by_side release_build all_unit_tests all_api_checks
    export TIELINE_BIN=$PWD/.build/release
    step "end-to-end tests" python3 Tests/EndToEnd/run.py
    # Each on a cluster of its own; they wait more than they work.
    step "test cluster, faults" side_by_side test_cluster unknown_inputs kills
    # These work, or measure.
    step "random conversations" hack/chaos.sh --quick B6 R6
    step "hostile neighbors" hack/hostile.sh --short
    step "size" hack/scale.sh --quick
    ;;
  *)
    echo "usage: hack/test.sh [all|fast|e2e [NAME]]" >&2
    exit 2
    ;;
esac

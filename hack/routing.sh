#!/usr/bin/env bash
# Routing and balancing at length, in release mode: only these targets are built, in a folder that goes away.
#
#   hack/routing.sh scale        what size costs, from 10 to 1,000 sites: the tables of docs/scale.md (7 GB of memory)
#   hack/routing.sh paths        100,000 random changes: paths kept up to date against those of the whole network
#   hack/routing.sh networks     10,000 random networks that lose, repeat, reorder, part and restart: equal databases, the oracle's costs
#   hack/routing.sh balancer     a million picks against the rule written down a second time
#
# TIELINE_TEST_NETWORKS: how many networks; of `paths` each is 200 changes.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  scale) filter=GrowthTests networks=1 ;;
  paths) filter=IncrementalPathsTests networks=500 ;;
  networks) filter=SimulationTests networks=10000 ;;
  balancer) filter=OracleTests networks=1 ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

root=$PWD
folder=$(mktemp -d "${TMPDIR:-/tmp}/tieline-routing-XXXXXX")
trap 'rm -rf "$folder"' EXIT
ln -s "$root/Sources" "$root/Tests" "$folder"
awk '/^let package/ { exit } { print }' Package.swift > "$folder/Package.swift"
cat >> "$folder/Package.swift" <<'END'
let package = Package(
    name: "routing",
    platforms: [.macOS(.v15)],
    dependencies: [.package(url: "https://github.com/apple/swift-collections", from: "1.6.0")],
    targets: [
        module("NetworkModel"),
        module("ProxyContract", ["NetworkModel"]),
        module("Routing", ["NetworkModel", deque, heap]),
        module("Balancing", ["NetworkModel"]),
        module("TestSupport", path: "Tests/TestSupport", ["ProxyContract", "NetworkModel"]),
        module("Wire", ["Routing", "NetworkModel"]),
        tests("RoutingTests", ["Wire", "Routing", "NetworkModel", "TestSupport", heap]),
        tests("BalancingTests", ["Balancing", "NetworkModel", "TestSupport"]),
    ]
)
END
cp Package.resolved "$folder"
[ ! -d .build/checkouts/swift-collections ] || sed -i \
  "s#\.package(url: \"https://github.com/apple/swift-collections\", from: [^)]*)#.package(path: \"$root/.build/checkouts/swift-collections\")#" \
  "$folder/Package.swift"
swift build --package-path "$folder" -c release --build-tests -Xswiftc -enable-testing \
  --disable-build-manifest-caching > "$folder/log" 2>&1 || { grep -E "error|Compiling" "$folder/log" >&2; exit 1; }
[ "$1" != scale ] || export TIELINE_TEST_SITES=1000
export TIELINE_TEST_NETWORKS=${TIELINE_TEST_NETWORKS:-$networks}
"$folder/.build/release/routingPackageTests.xctest" --testing-library swift-testing --no-parallel --filter "$filter" |
  grep -E ' sites: |✘|recorded an issue|Test run'

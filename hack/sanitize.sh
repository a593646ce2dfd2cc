#!/usr/bin/env bash
# Runs the tests of the data plane under thread and address sanitizer: 0 reports.
#
#   hack/sanitize.sh                 both
#   hack/sanitize.sh thread          one (thread or address)
#   hack/sanitize.sh thread WORD     only tests whose name contains WORD
#
# Each builds everything once more, into .build-thread and .build-address.
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizers=(thread address)
case ${1:-} in
  thread | address) sanitizers=("$1") && shift ;;
esac
filter=${1:-'^(ProxyControlTests|ProxyTransportTests|StreamTests|StreamingTests|WireTests|RoutingTests|BalancingTests|SiteControlTests|TLSTests|FuzzTests)\.'}
[ "$(ulimit -Sn)" -ge 4096 ] || ulimit -Sn 4096

failed=0
for sanitizer in "${sanitizers[@]}"; do
  build=.build-$sanitizer log=.build-$sanitizer/log
  swift build --build-tests --sanitize="$sanitizer" --scratch-path "$build"
  # A report does not end the process, so that all of them are seen. The runtime of Swift keeps what it makes once (no leaks looked for).
  code=0
  TSAN_OPTIONS="halt_on_error=0 exitcode=0 suppressions=$PWD/hack/sanitize-thread.txt" \
    ASAN_OPTIONS="detect_leaks=0 halt_on_error=0 use_sigaltstack=0" SWIFT_BACKTRACE=enable=no \
    swift test --skip-build --no-parallel --sanitize="$sanitizer" --scratch-path "$build" --filter "$filter" >"$log" 2>&1 || code=1
  reports=$(grep -cE '^(WARNING: ThreadSanitizer|==[0-9]+==ERROR: AddressSanitizer)' "$log" || true)
  tests=$(grep -E '^(✔|✘) Test run with' "$log" | tail -1 || true)
  echo "$sanitizer sanitizer: $reports reports; ${tests:-the run did not end} ($log)"
  [ "$reports" = 0 ] && [ $code = 0 ] || failed=1
done
exit $failed

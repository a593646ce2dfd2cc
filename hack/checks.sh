# What the checks against a test API server share: they source this file, from any folder.
#
# After it a fresh API server runs ($KUBECONFIG; its state in $state) and ends with the script, `kubectl` is on the PATH,
# and `expect` counts.
set -euo pipefail
hack=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kubectl=$("$hack/kubectl.sh")
PATH=${kubectl:+$kubectl:}$PATH
state=$(mktemp -d)
at_exit=() # commands that end what the script started beside the server
clean_up() {
  for command in "${at_exit[@]}" "$hack/apiserver/stop.sh $state" "rm -rf $state"; do eval "$command" || true; done
}
trap clean_up EXIT
"$hack/apiserver/run.sh" "$state" >/dev/null
export KUBECONFIG=$state/kubeconfig
passed=0 failed=0

# expect SENTENCE REGEX COMMAND...: the command's output, both streams and as one line, matches.
expect() {
  local output
  output=$("${@:3}" 2>&1) || true
  output=${output//$'\n'/ }
  if grep -qE -- "$2" <<<"$output"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED: %s\n  wanted: %s\n  got: %s\n' "$1" "$2" "$output" >&2
  fi
}
# until_true COMMAND...: tries for 40 s: a policy with a parameter waits for the API server's next look at its kinds.
until_true() { for _ in $(seq 400); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; echo "never true: $*" >&2; return 1; }
# finish: the last command of a script says what became of its expectations.
finish() { echo "$0: $passed passed, $failed failed"; [ $failed = 0 ]; }

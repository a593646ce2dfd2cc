#!/bin/bash
# run.sh STATE [flags of the API server]: starts one cluster, waits until it is ready and prints its kubeconfig.
#
# STATE (made when missing) keeps the data, keys and port: a cluster that is started again is the same one. Any number
# of clusters run side by side; every listener is on loopback. Stop one with: stop.sh STATE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: $0 STATE [flags]" >&2; exit 2; }
program=$("$here/build.sh" | tail -1)
mkdir -p "$1"
state=$(cd "$1" && pwd)
shift
if [ -f "$state/pid" ] && [[ "$(readlink "/proc/$(cat "$state/pid")/exe" 2>/dev/null)" == */apiserver* ]]; then
  echo "$state: already runs, as process $(cat "$state/pid")" >&2
  exit 1
fi
rm -f "$state/kubeconfig" "$state/pid"
setsid nohup "$program" --dir "$state" --etcd "$(dirname "$program")/etcd" "$@" >"$state/apiserver.log" 2>&1 </dev/null &
process=$!
for _ in $(seq 1500); do
  if ! kill -0 $process 2>/dev/null; then
    echo "the API server ended:" >&2
    tail -5 "$state/apiserver.log" >&2
    exit 1
  fi
  if [ -f "$state/kubeconfig" ] && curl -sf -o /dev/null --cacert "$state/pki/ca.crt" \
    -H "Authorization: Bearer $(cat "$state/admin.token")" "https://127.0.0.1:$(cat "$state/port")/readyz"; then
    echo "$state/kubeconfig"
    exit
  fi
  sleep 0.02
done
kill $process
echo "the API server was not ready after 30 s, see $state/apiserver.log" >&2
exit 1

#!/usr/bin/env bash
# Shows, on a real API server, that manifests/ install cleanly and again without a change, that the schemas refuse what
# they should with the field and the remedy, and that the controller's rights are enough and not more.
cd "$(dirname "$0")/.."
source hack/checks.sh

# try KIND SPEC SENTENCE REGEX [NAME]: what the server says to an object of that spec (in flow style), stored by nobody.
try() {
  expect "$3" "$4" kubectl create --dry-run=server -f <(printf -- '---\n{apiVersion: tieline.dev/v1alpha1, kind: %s, metadata: {name: %s, namespace: default}, spec: %s}\n' "$1" "${5:-x}" "$2")
}

# --- Installing, twice
for folder in manifests manifests/samples manifests/samples/three-sites; do
  kubectl apply -k $folder >"$state/out" || { cat "$state/out" >&2; exit 1; }
  hack/apiserver/served.sh {sites,links,services}.tieline.dev
  # Of a PodDisruptionBudget kubectl sends the selector every time (its patch strategy is "replace") and says "configured".
  expect "$folder applied again changes nothing" "^$" sh -c "kubectl apply -k $folder | grep -v -e unchanged -e '^poddisruptionbudget.*configured'"
  expect "$folder has no diff" "^0$" sh -c "kubectl diff -k $folder; echo \$?"
done
expect "the PodDisruptionBudget was not written again" "^1" kubectl get pdb -n tieline-system tieline-controller -o 'jsonpath={.metadata.generation}'
expect "server-side apply takes them over" "deployment.apps/tieline-controller serverside-applied" kubectl apply --server-side --force-conflicts -k manifests
expect "and has no diff" "^0$" sh -c "kubectl diff --server-side --force-conflicts -k manifests; echo \$?"
kubectl apply -f - >/dev/null <<'YAML'
apiVersion: tieline.dev/v1alpha1
kind: Link
metadata: {name: west, namespace: default}
spec: {endpoints: [{host: west.example.com, port: 5671}], remoteSiteID: ABCDEFGHIJKLMNOPQRSTUVWXYZ}
YAML
expect "K4: a new object is in progress for kstatus" "^Ready=Unknown,Accepted=Unknown,Connected=Unknown,Reconciling=True" kubectl get tlink west -o 'jsonpath={range .status.conditions[*]}{.type}={.status},{end}'
expect "cost is 1 by default" "^1" kubectl get tlink west -o 'jsonpath={.spec.cost}'
kubectl patch tsite sample -n sample --subresource status --type merge -p '{"status": {"observedGeneration": 1, "summary": "Ready", "siteID": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "links": {"ready": 2, "total": 2},
  "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}' >/dev/null
kubectl patch tsvc web -n sample --subresource status --type merge -p '{"status": {"activeSites": ["east", "west"], "active": "east,west", "connections": {"active": 3, "opened": 4, "failed": 0}}}' >/dev/null
expect "a status leaves no diff" "^0$" sh -c "kubectl diff -k manifests/samples; echo \$?"
expect "status does not count as a change of the spec" "^1" kubectl get tsite sample -n sample -o 'jsonpath={.metadata.generation}'

# --- kubectl's view
expect "the columns of a Site" "READY +STATUS +LINKS +SERVICES +AGE +CONNS +ID .*sample +True +Ready +2 .*ABCDEFGHIJKLMNOPQRSTUVWXYZ" kubectl get tsite -n sample -o wide
expect "the columns of a Link" "READY +CONNECTED +REMOTE +COST +CONNS +STATUS +AGE +RTT +FAILOVERS" kubectl get tlink -o wide
expect "the columns of a Service" "READY +TARGETS +PORTS +ACTIVE +CONNS +FAILOVERS +STATUS +AGE .*web +Unknown +8080 +east,west +3" kubectl get tsvc -n sample
expect "one category" "site.tieline.dev/sample" kubectl get tieline -n sample -o name
expect "explain tells unit and default" "connections per endpoint.*default 1" kubectl explain tlink.spec.cost
for crd in sites links services; do
  expect "every field of $crd is described" "^$" sh -c "kubectl get crd $crd.tieline.dev -o json | jq -r '
    .spec.versions[].schema.openAPIV3Schema.properties | {spec, status} | paths(objects) as \$p
    | select(\$p[-2] == \"properties\") | select(getpath(\$p) | has(\"description\") | not) | \$p | join(\".\")'"
done

# --- Sites that are refused
try Site '{}' "a Site needs nothing" created
try Site '{}' "its name is a DNS label" "metadata.*DNS label" a.b
try Site '{linkAccess: {}}' "linkAccess has a type" "spec.linkAccess.type: Required"
try Site '{linkAccess: {type: Other}}' "of a known kind" "spec.linkAccess.type: Unsupported"
try Site '{linkAccess: {type: External}}' "External needs hosts" "spec.linkAccess.hosts: Required value: linkAccess of type External needs hosts"
try Site '{linkAccess: {type: External, hosts: ["a.example.com:5671"]}}' "hosts have no port" "spec.linkAccess.hosts\[0\]: Invalid.*without a port"
try Site '{linkAccess: {type: External, hosts: ["2001:db8::1", a.example.com]}}' "hosts are names or addresses" created
try Site '{linkAccess: {type: ClusterIP, port: 0}}' "port 0 is refused" "spec.linkAccess.port"
try Site '{allow: [{siteID: short}]}' "a SiteID has 26 characters" "spec.allow\[0\].siteID"
try Site '{allow: [{siteID: abcdefghijklmnopqrstuvwxyz}]}' "of base32" "spec.allow\[0\].siteID"
try Site '{allow: [{siteID: ABCDEFGHIJKLMNOPQRSTUVWXYZ}, {siteID: ABCDEFGHIJKLMNOPQRSTUVWXYZ}]}' "each once" "spec.allow\[1\]: Duplicate"
try Site '{proxy: {replicas: 33}}' "replicas have a limit" "spec.proxy.replicas"
try Site '{proxy: {loops: 9}}' "loops have a limit" "spec.proxy.loops"
for budget in 16Mi 1Gi 33554432; do try Site "{proxy: {memoryBudget: $budget}}" "a budget of $budget" created; done
for budget in 8Mi much -1Gi; do try Site "{proxy: {memoryBudget: $budget}}" "none of $budget" "spec.proxy.memoryBudget: Invalid"; done
try Site '{proxy: {resources: {limits: {memory: much}}}}' "quantities are checked" "spec.proxy.resources.limits"
for pair in "1 1" "100m '0.1'" "1 1500m" "0 0" "64Mi 0.1Gi"; do
  set -- $pair
  try Site "{proxy: {resources: {requests: {cpu: $1, memory: 1Gi}, limits: {cpu: $2}}}}" "K12: a request of $1 is within $2" created
done
for pair in "2 1" "101m '0.1'" "1 999m" "1Gi 1G"; do
  set -- $pair
  try Site "{proxy: {resources: {requests: {memory: $1}, limits: {cpu: 1, memory: $2}}}}" "K12: a request of $1 is above $2" "spec.proxy.resources.requests: Invalid.*a request is above the limit"
done
try Site '{linkAccess: {type: LoadBalancer, annotations: {service.beta.kubernetes.io/aws-load-balancer-type: nlb}, loadBalancerClass: example.com/lb, loadBalancerSourceRanges: [192.0.2.0/24, "2001:db8::/32"], externalTrafficPolicy: Local, allocateLoadBalancerNodePorts: false}}' "P15: a cloud's load balancer can be asked for" created
for field in "loadBalancerClass: a.example.com/b" "loadBalancerSourceRanges: [192.0.2.0/24]" "allocateLoadBalancerNodePorts: false" "externalTrafficPolicy: Local"; do
  try Site "{linkAccess: {type: ClusterIP, $field}}" "P15: a ClusterIP has no ${field%%:*}" "spec.linkAccess.${field%%:*}: Forbidden.*is for linkAccess of type"
done
try Site '{linkAccess: {type: LoadBalancer, loadBalancerSourceRanges: [192.0.2.1]}}' "P15: source ranges are CIDR blocks" "loadBalancerSourceRanges\[0\]: Invalid.*CIDR"
try Site '{linkAccess: {type: ClusterIP, annotations: {tieline.dev/applied: x}}}' "P15: our annotations are ours" "spec.linkAccess.annotations: Invalid"
try Site '{proxy: {nodeSelector: {a: b}, tolerations: [{key: t, operator: Exists, effect: NoExecute, tolerationSeconds: 5}], priorityClassName: high, podLabels: {team: net}, podAnnotations: {a: b}, imagePullSecrets: [{name: pull}], topologySpreadConstraints: [{topologyKey: zone, whenUnsatisfiable: DoNotSchedule, minDomains: 2}]}}' "P15: gateways can be placed" created
try Site '{proxy: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In, values: [b]}]}]}}, podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {a: b}}}}]}}}}' "P15: with affinity" created
try Site '{proxy: {affinity: {nodeAffinity: {requierd: {}}}}}' "P15: whose fields are known" "unknown field .spec.proxy.affinity.nodeAffinity.requierd"
try Site '{proxy: {podLabels: {tieline.dev/site: x}}}' "P15: labels by which gateways are found are ours" "spec.proxy.podLabels: Invalid"
try Site '{proxy: {tolerations: [{value: x}]}}' "P15: a toleration is one" "spec.proxy.tolerations\[0\].operator: Invalid"
try Site '{proxy: {topologySpreadConstraints: [{topologyKey: zone, minDomains: 2}]}}' "P15: minDomains needs DoNotSchedule" "minDomains: Invalid"
try Site '{drain: {delay: 6m}}' "drain.delay has a limit" "spec.drain.delay: Invalid.*at most 5m"
try Site '{drain: {grace: 25h}}' "drain.grace has a limit" "spec.drain.grace: Invalid.*at most 24h"
try Site '{drain: {grace: soon}}' "durations are durations" "spec.drain.grace"
try Site '{health: {heartbeat: 10ms}}' "the heartbeat has bounds" "spec.health.heartbeat: Invalid.*from 50ms to 30s"
try Site '{health: {misses: 1}}' "one miss is too few" "spec.health.misses"
expect "controllerName is immutable" "spec.controllerName: Forbidden.*immutable" kubectl patch tsite sample -n sample --type merge -p '{"spec": {"controllerName": "other"}}'

# --- What the README shows
kubectl create namespace shop >/dev/null
sed -n '/^```yaml$/,/^```$/{ /^```yaml$/d; s/^```$/---/; p; }' README.md >"$state/readme.yaml"
kubectl create --dry-run=server -f "$state/readme.yaml" >"$state/out" 2>&1 || true
expect "every object of the README is accepted" "^$(grep -c ^kind: "$state/readme.yaml") 0$" sh -c "grep -c created '$state/out'; grep -vc created '$state/out'"
grep -v created "$state/out" >&2 || true

mkdir "$state/tieline"
cp -r manifests "$state/tieline/"
sed -n '/^```yaml$/,/^```$/p' docs/gitops.md | sed '1d;/^```$/,$d' >"$state/tieline/kustomization.yaml"
images="registry.example.com/net/tieline-(controller|proxy):v1"
expect "the kustomization of docs/gitops.md sets both images" "^2 0$" sh -c "kubectl kustomize $state/tieline >$state/out; grep -cE '(image: |--proxy-image=)$images' $state/out; grep -cE 'tieline-[a-z]+:dev' $state/out"
expect "so do the README's commands" "^2 0$" sh -c "$(sed -nE 's/^    (kubectl kustomize manifests .*) \| kubectl apply.*/registry=registry.example.com\/net tag=v1; \1/p' README.md) >$state/out; grep -cE '(image: |--proxy-image=)$images' $state/out; grep -cE 'tieline-[a-z]+:dev' $state/out"

# --- Links
id=ABCDEFGHIJKLMNOPQRSTUVWXYZ
link() { echo "{endpoints: [{host: a, port: 1}], remoteSiteID: $id, $1}"; }
for cost in 0 -1 1000001 4294967297; do
  try Link "$(link "cost: $cost")" "cost $cost is refused" "spec.cost"
done
expect "cost 0 is a 422 of spec.cost" "422.*spec.cost|spec.cost.*422" kubectl patch tlink west --type merge -p '{"spec": {"cost": 0}}' -v 8
try Link "{remoteSiteID: $id}" "a Link has endpoints" "spec.endpoints: Required"
try Link "{remoteSiteID: $id, endpoints: []}" "at least one" "spec.endpoints"
try Link "{remoteSiteID: $id, endpoints: [{host: a}]}" "with a port" "spec.endpoints\[0\].port: Required"
try Link "{remoteSiteID: $id, endpoints: [{host: 'Not A Name', port: 1}]}" "and a host" "spec.endpoints\[0\].host: Invalid"
try Link "{remoteSiteID: $id, endpoints: [{host: a, port: 1}, {host: a, port: 1}]}" "each once" "spec.endpoints\[1\]: Duplicate"
try Link "{endpoints: [{host: a, port: 1}]}" "a Link pins its remote site" "spec.remoteSiteID: Required"
try Link "{endpoints: [{host: a, port: 1}], remoteSiteID: x}" "by an ID" "spec.remoteSiteID"
try Link "$(link "nextRemoteSiteID: x")" "K3: and may pin another one of its IDs" "spec.nextRemoteSiteID"
try Link "$(link "nextRemoteSiteID: ABCDEFGHIJKLMNOPQRSTUVWXYZ")" "K3: of 26 characters" created
try Link "$(link "resumeGrace: 30s")" "a Link has a grace" created
for grace in 500ms 301s; do try Link "$(link "resumeGrace: $grace")" "which is not $grace" "spec.resumeGrace: Invalid.*from 1s to 5m"; done
try Link "$(link "health: {heartbeat: 1h}")" "the heartbeat has bounds" "spec.health.heartbeat: Invalid.*from 50ms to 30s"

# --- Services
ports="ports: [{name: http, port: 80}]"
try Service "{$ports, selector: {app: x}}" "a Service with a selector" created
try Service "{selector: {app: x}}" "a Service has ports" "spec.ports: Required"
try Service "{ports: []}" "at least one" "spec.ports"
try Service "{ports: [{port: 80}]}" "with a name" "spec.ports\[0\].name: Required"
try Service "{ports: [{name: a, port: 65536}]}" "ports end at 65535" "spec.ports\[0\].port"
try Service "{ports: [{name: a, port: 1}, {name: a, port: 2}]}" "names differ" "spec.ports\[1\]: Duplicate"
try Service "{ports: [{name: a, port: 1}, {name: b, port: 1}]}" "numbers differ" "spec.ports: Invalid value.*same number"
try Service "{ports: [{name: a, port: 1, targetPort: 0}]}" "targetPort 0 is refused" "spec.ports\[0\].targetPort: Invalid.*from 1 to 65535"
try Service "{ports: [{name: a, port: 1, targetPort: Web}]}" "a targetPort is a port name" "spec.ports\[0\].targetPort: Invalid"
try Service "{ports: [{name: a, port: 1, targetPort: web}], hosts: [10.0.0.1]}" "hosts have no named ports" "spec.ports: Invalid.*must be a number"
try Service "{$ports, selector: {app: x}, hosts: [10.0.0.1]}" "one kind of servers" "spec.hosts: Forbidden.*at most one of selector and hosts"
try Service "{$ports, selector: {app: x}, proxyProtocol: true}" "servers here may be told of clients" created
try Service "{$ports, proxyProtocol: true}" "servers elsewhere are told there" "spec.proxyProtocol: Forbidden.*for servers of this site"
try Service "{$ports, selector: {app: x}, allowedSites: [west, $id]}" "names and identities may use it" created
try Service "{$ports, allowedSites: []}" "who may use servers is said where they are" "spec.allowedSites: Forbidden.*for servers of this site"
try Service "{$ports, fromSites: []}" "one site at least is used" "spec.fromSites: Invalid"
try Service "{$ports, fromSites: [West]}" "a site is a name or an identity" "spec.fromSites\[0\]: Invalid"
try Service "{$ports, balancing: {weightBy: Site, weights: [{site: a, weight: 0}], costs: [{site: a, cost: 0}], tiers: [{sites: [a]}], minReadyEndpoints: 2, slowStart: 1m30s}}" "a whole policy" created
try Service "{$ports, balancing: {weights: [{site: a, weight: 1001}]}}" "weights have bounds" "weights\[0\].weight: Invalid"
try Service "{$ports, balancing: {weights: [{site: a, weight: 1}, {site: a, weight: 2}]}}" "a site has one weight" "Duplicate"
try Service "{$ports, balancing: {slowStart: 2h}}" "slowStart has a bound" "slowStart: Invalid.*from 0s to 1h"
try Service "{$ports, balancing: {tiers: [{sites: []}]}}" "a tier has a site" "tiers\[0\].sites: Invalid"
try Service "{$ports, selector: {}}" "the selector is not empty" "spec.selector"
for key in a.example.com/App_1.x app $(printf 'a%.0s' {1..63}); do try Service "{$ports, selector: {$key: Web_1.x, empty: ''}}" "K12: $key is a label's key" created; done
for key in -a a- a/b/c /a a/ 'A.b/c' 'a b' $(printf 'a%.0s' {1..64}) $(printf 'a%.0s' {1..254})/$(printf 'a%.0s' {1..64}); do
  try Service "{$ports, selector: {'$key': x}}" "K12: $key is none" "spec.selector: Invalid.*a label's key is"
done
for value in -a a- 'a/b' 'a b' _; do
  try Service "{$ports, selector: {a: '$value'}}" "K12: $value is no label's value" "spec.selector(\.a|\[a\]): Invalid.*a label's value is"
done
selecting() { echo "{$ports, listen: {namespaces: $1}}"; }
try Service "$(selecting "{matchLabels: {a.example.com/b: c}, matchExpressions: [{key: a.example.com/b, operator: In, values: [c, '']}]}")" "K12: labels of namespaces" created
try Service "$(selecting "{matchLabels: {a_: c}}")" "K12: their keys are keys" "spec.listen.namespaces.matchLabels: Invalid.*a label's key is"
try Service "$(selecting "{matchLabels: {a: c_}}")" "K12: their values are values" "spec.listen.namespaces.matchLabels(\.a|\[a\]): Invalid.*a label's value is"
try Service "$(selecting "{matchExpressions: [{key: a_, operator: Exists}]}")" "K12: also in expressions" "matchExpressions\[0\].key: Invalid.*a label's key is"
try Service "$(selecting "{matchExpressions: [{key: a, operator: In, values: [c, _]}]}")" "K12: the values too" "matchExpressions\[0\].values\[1\]: Invalid.*a label's value is"
try Service "{$ports, hosts: []}" "nor are the hosts" "spec.hosts"
try Service "{$ports, hosts: ['10.0.0.1:80']}" "hosts have no port" "spec.hosts\[0\]: Invalid"
try Service "{$ports, hosts: ['127.0.0.1']}" "nor are they loopback" "spec.hosts\[0\]: Invalid.*gateway itself"
try Service "{$ports, hosts: [10.0.0.1, db.example.com, '2001:db8::1']}" "hosts are names or addresses" created
try Service "{$ports, address: Not_A_Name}" "an address is a DNS name" "spec.address"
try Service "{$ports}" "a core Service can have its name" "spec: Invalid.*set listen.serviceName" 1st
try Service "{$ports, listen: {serviceName: first}}" "or listen.serviceName gives one" created 1st
try Service "{$ports, selector: {app: x}}" "or there is none" created 1st
try Service "{$ports}" "it is not one of the Site's" "spec: Invalid.*tieline-link" tieline-link
try Service "{$ports, listen: {serviceName: tieline-proxy}}" "nor is listen.serviceName" "spec.listen.serviceName: Forbidden"
try Service "{$ports, listen: {serviceName: a.b}}" "which is a DNS label" "spec.listen.serviceName"
try Service "{$ports, listen: {namespaces: {matchExpressions: [{key: a, operator: In}]}}}" "In needs values" "matchExpressions\[0\].values: Invalid"
try Service "{$ports, timeouts: {connect: 2m}}" "timeouts.connect has bounds" "spec.timeouts.connect: Invalid.*from 50ms to 1m"
try Service "{$ports, timeouts: {idle: 10ms}}" "timeouts.idle has a bound" "spec.timeouts.idle: Invalid.*0s .never. or from 1s to 8784h"
try Service "{$ports, timeouts: {idle: 8785h}}" "and a limit" "spec.timeouts.idle: Invalid.*to 8784h"
try Service "{$ports, timeouts: {idle: 1000000000s}}" "a number has at most nine digits" "spec.timeouts.idle: Invalid"
try Service "{$ports, address: $(printf 'a%.0s' {1..64})}" "a label of an address has at most 63 letters" "spec.address"
try Service "{$ports, timeouts: {halfClosed: 10ms}}" "timeouts.halfClosed has a bound" "spec.timeouts.halfClosed: Invalid"
expect "an address cannot be set later" "spec.address: Forbidden.*immutable" kubectl patch tsvc web -n sample --type merge -p '{"spec": {"address": "other"}}'

# --- Rights
controller=--as=system:serviceaccount:tieline-system:tieline-controller
can() { expect "$1: $3 ${*:4}" "^$2( |$)" kubectl auth can-i "${@:3}"; }
owner="ownerReferences: [{apiVersion: tieline.dev/v1alpha1, kind: Site, name: sample, uid: $(kubectl get tsite -n sample sample -o 'jsonpath={.metadata.uid}'), controller: true}]"
bind() { # bind ROLE NAME: as the controller, a RoleBinding to the ClusterRole
  kubectl create $controller -f <(printf -- '---\n{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: %s, namespace: sample, labels: {app.kubernetes.io/managed-by: tieline}, %s}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %s}, subjects: [{kind: ServiceAccount, name: tieline-controller, namespace: tieline-system}]}\n' "$2" "$owner" "$1")
}
can "the controller may" yes update sites.tieline.dev --subresource=status -n sample $controller
can "the controller of the version before may" yes patch sites.tieline.dev --subresource=status -n sample $controller
can "the controller may not" no patch sites.tieline.dev -n sample $controller
can "the controller may not" no patch links.tieline.dev -n sample $controller
can "without a binding it may not" no get secrets/tieline-site-ca -n sample $controller
expect "the controller may not bind another role" "forbidden.*not currently held" bind cluster-admin tieline-controller-site
expect "nor make a role" "forbidden" kubectl create clusterrole x --verb=get --resource=secrets $controller
expect "it may bind its own" "created" bind tieline-controller-site tieline-controller-site
until_true kubectl auth can-i get secrets/tieline-site-ca -n sample $controller # the server's authorizer follows by a watch
can "then it may" yes get secrets/tieline-site-ca -n sample $controller
can "then it may" yes create secrets -n sample $controller
can "then it may" yes patch deployments.apps/tieline-proxy -n sample $controller
for verb in list watch; do
  can "K16: it follows a Secret by its name" yes $verb secrets/tieline-proxy -n sample $controller
  can "but not all" no $verb secrets -n sample $controller
  can "nor another" no $verb secrets/other -n sample $controller
done
can "no more than it sends" no update secrets/tieline-proxy -n sample $controller
for object in serviceaccounts/tieline-proxy deployments.apps/tieline-proxy rolebindings.rbac.authorization.k8s.io/tieline-proxy; do
  can "no more than it sends" no update $object -n sample $controller
done
can "never the identity" no delete secrets/tieline-site-ca -n sample $controller
can "no more than it sends" no update services -n sample $controller
can "no more than it sends" no patch events.events.k8s.io -n sample $controller
can "no more than it sends" no create sites.tieline.dev --subresource=status -n sample $controller
can "only those it names" no get secrets/other -n sample $controller
can "only those it names" no patch deployments.apps/web -n sample $controller
can "and only there" no create secrets -n default $controller
can "its Lease" yes update leases.coordination.k8s.io/tieline-controller -n tieline-system $controller
can "no other Lease" no update leases.coordination.k8s.io/other -n tieline-system $controller
kubectl create rolebinding tieline-proxy -n sample --clusterrole=tieline-proxy --serviceaccount=sample:tieline-proxy >/dev/null
proxy=--as=system:serviceaccount:sample:tieline-proxy
until_true kubectl auth can-i watch secrets/tieline-proxy -n sample $proxy
can "a gateway may" yes watch secrets/tieline-proxy -n sample $proxy
can "a gateway may" yes list endpointslices.discovery.k8s.io -n sample $proxy
can "a gateway may not" no get secrets/tieline-site-ca -n sample $proxy
can "a gateway may not" no list secrets -n sample $proxy
can "a gateway may" yes get secrets/tieline-proxy-part-63 -n sample $proxy
can "a gateway may not" no watch secrets/tieline-proxy-part-63 -n sample $proxy
for role in view edit admin; do kubectl create clusterrolebinding "is-$role" --clusterrole=$role --user=$role >/dev/null; done
until_true kubectl auth can-i list links.tieline.dev --as=view # the roles are aggregated some time after they are made
until_true kubectl auth can-i patch links.tieline.dev --as=edit
until_true kubectl auth can-i patch sites.tieline.dev --as=admin
can "a viewer may" yes list links.tieline.dev --as=view
can "a viewer may not" no patch links.tieline.dev --as=view
can "an editor may" yes patch links.tieline.dev --as=edit
can "an editor may not" no patch sites.tieline.dev --as=edit
can "an administrator may" yes patch sites.tieline.dev --as=admin

# --- Pod Security, profile "restricted"
expect "every Pod template is restricted" "^$" sh -c "kubectl get deployments -A -o json | jq -r '
  .items[] | .metadata.name as \$name | .spec.template.spec | .securityContext as \$pod
  | select((.hostNetwork or .hostPID or .hostIPC) or ((.volumes // [])[] | has(\"hostPath\"))
    or ([.containers, .initContainers // []] | add | any(.securityContext as \$c
      | (\$c.allowPrivilegeEscalation != false) or (\$c.capabilities.drop != [\"ALL\"]) or ((\$c.capabilities.add // []) != [])
      or (\$c.readOnlyRootFilesystem != true) or ((\$c.runAsNonRoot // \$pod.runAsNonRoot) != true)
      or ((\$c.seccompProfile.type // \$pod.seccompProfile.type) != \"RuntimeDefault\"))))
  | \$name'"

finish

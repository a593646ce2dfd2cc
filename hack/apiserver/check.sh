#!/bin/bash
# Shows, on a fresh cluster, that the test API server refuses what Kubernetes refuses, and that a restart loses nothing.
source "$(dirname "$0")/../checks.sh"

# create OBJECT SENTENCE REGEX [kubectl flags]; the separator tells kubectl that flow style is YAML, not JSON.
create() { expect "$2" "$3" kubectl create "${@:4}" -f <(printf -- '---\n%s\n' "$1"); }
service() { echo "{apiVersion: v1, kind: Service, metadata: {name: $1}, spec: {$2}}"; }
slice() { echo "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: $1}, addressType: IPv4, endpoints: [{addresses: ['$2']}], ports: [{port: 80}]}"; }
deployment() { echo "{apiVersion: apps/v1, kind: Deployment, metadata: {name: $1}, spec: {selector: {matchLabels: {app: $2}}, template: {metadata: {labels: {app: $3}}, spec: {$4}}}}"; }
pod() { echo "{apiVersion: v1, kind: Pod, metadata: {name: $1}, spec: {$2}}"; }
role() { echo "{apiVersion: rbac.authorization.k8s.io/v1, kind: $1, metadata: {name: $2}, rules: [{apiGroups: [''], resources: [$3], verbs: [$4]}]}"; }
binding() { echo "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: $1}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: $2}, subjects: [{kind: ServiceAccount, name: x, namespace: default}]}"; }
until_true kubectl get serviceaccount default

# Names, Services and their addresses
expect "a namespace is a DNS label" "Invalid value.*DNS label|RFC 1123 label" kubectl create namespace Bad_Name
expect "the Service of the API has the first address" "^10\.96\.0\.1$" kubectl get service kubernetes -o 'jsonpath={.spec.clusterIP}'
create "$(service 1st "ports: [{port: 80}]")" "a Service name begins with a letter" "DNS-1035"
create "$(service s "ports: []")" "a Service has ports" "spec.ports: Required"
create "$(service s "ports: [{port: 0}]")" "port 0 is refused" "between 1 and 65535"
create "$(service s "ports: [{port: 1}, {port: 2}]")" "several ports have names" "ports\[0\].name: Required"
create "$(service s "ports: [{name: a, port: 1}, {name: a, port: 2}]")" "port names differ" "Duplicate value: \"a\""
create "$(service s "ports: [{port: 1, targetPort: Bad_Name}]")" "a target port is a port name" "targetPort: Invalid"
create "$(service s "clusterIP: 10.96.0.1, ports: [{port: 1}]")" "an address in use is refused" "already allocated"
create "$(service s "clusterIP: 192.0.2.1, ports: [{port: 1}]")" "an address out of the range is refused" "current range 10.96.0.0/12"
create "$(service s "ports: [{port: 1}]")" "a Service gets an address" "created"
expect "it is in the range" "^10\.(9[6-9]|10[0-9]|11[01])\." kubectl get service s -o 'jsonpath={.spec.clusterIP}'
expect "it is immutable" "field is immutable" kubectl patch service s -p '{"spec": {"clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7"]}}'
expect "a Service becomes a NodePort" "patched" kubectl patch service s -p '{"spec": {"type": "NodePort"}}'
expect "its node port is in the range" "^3[0-2][0-9]{3}$" kubectl get service s -o 'jsonpath={.spec.ports[0].nodePort}'
create "$(service t "type: NodePort, ports: [{port: 1, nodePort: $(kubectl get service s -o 'jsonpath={.spec.ports[0].nodePort}')}]")" "a node port in use is refused" "already allocated"
create "$(service t "type: NodePort, ports: [{port: 1, nodePort: 80}]")" "a node port out of the range is refused" "30000-32767"
expect "a Service becomes a ClusterIP again" "patched" kubectl patch service s -p '{"spec": {"type": "ClusterIP"}}'
expect "its node port is gone" "^$" kubectl get service s -o 'jsonpath={.spec.ports[0].nodePort}'
create "$(service h "clusterIP: None, ports: [{port: 80, targetPort: 8080}]")" "a headless Service may have another target port" "created"

# Endpoints
for address in 127.0.0.1 169.254.1.1 0.0.0.0 224.0.0.1 10.0.0.256 ::1; do
  create "$(slice e $address)" "an EndpointSlice with $address is refused" "addresses\[0\]: Invalid value"
done
create "$(slice e 10.244.0.5)" "an EndpointSlice of a Pod's address is accepted" "created"
expect "its address type is immutable" "addressType: Invalid value.*immutable" kubectl patch endpointslice e --type merge -p '{"addressType": "IPv6", "endpoints": []}'
create "{apiVersion: v1, kind: Endpoints, metadata: {name: e}, subsets: [{addresses: [{ip: 127.0.0.1}], ports: [{port: 1}]}]}" "Endpoints on loopback are refused" "loopback"

# Workloads
image="containers: [{name: c, image: 'x:1'}]"
create "$(deployment d a b "$image")" "a Deployment selects its own Pods" "does not match template"
create "$(deployment d a a "containers: []")" "a template has containers" "containers: Required"
create "$(deployment d a a "containers: [{name: c}]")" "a container has an image" "image: Required"
create "$(deployment d a a "containers: [{name: c, image: 'x:1', volumeMounts: [{name: v, mountPath: /v}]}]")" "a mount has a volume" "Not found: \"v\""
create "$(deployment d a a "volumes: [{name: v, secret: {}}], $image")" "a Secret volume names its Secret" "secretName: Required"
create "$(deployment d a a "topologySpreadConstraints: [{maxSkew: 1, topologyKey: k}], $image")" "a spread constraint is complete" "whenUnsatisfiable: Required"
create "$(deployment d a a "restartPolicy: Never, $image")" "a Deployment restarts" "restartPolicy: Unsupported"
create "$(deployment d a a "initContainers: [{name: s, image: 'x:1', readinessProbe: {httpGet: {port: 1}}}], $image")" "a probe needs a sidecar" "Forbidden"
create "$(deployment d a a "initContainers: [{name: s, image: 'x:1', restartPolicy: Always, readinessProbe: {httpGet: {port: 1}}}], $image")" "a native sidecar is accepted" "created"
expect "the selector is immutable" "selector: Invalid value.*immutable" kubectl patch deployment d --type merge \
  -p '{"spec": {"selector": {"matchLabels": {"app": "z"}}, "template": {"metadata": {"labels": {"app": "z"}}}}}'
job() { echo "{apiVersion: batch/v1, kind: Job, metadata: {name: $1}, spec: {template: {spec: {$2}}}}"; }
create "$(job j "$image")" "a Job ends" "restartPolicy: Unsupported"
create "$(job j "restartPolicy: Never, $image")" "a Job is accepted" "created"
expect "it selects its Pods by its UID" "^$(kubectl get job j -o 'jsonpath={.metadata.uid}')$" kubectl get job j -o 'jsonpath={.spec.template.metadata.labels.batch\.kubernetes\.io/controller-uid}'
expect "its template is immutable" "template: Invalid value.*immutable" kubectl patch job j --type merge -p '{"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}'
create "$(pod p "serviceAccountName: nobody, $image")" "a Pod's service account exists" "serviceaccount.*not found"
create "$(pod p "$image")" "a Pod is accepted" "created"
expect "a Pod hardly changes" "pod updates may not change" kubectl patch pod p -p '{"spec": {"hostNetwork": true}}'

# Secrets and Events
expect "a Secret is created" "created" kubectl create secret generic k --from-literal=a=b
expect "its type is immutable" "type: Invalid value.*immutable" kubectl patch secret k -p '{"type": "example.com/x"}'
create "{apiVersion: v1, kind: Secret, metadata: {name: t}, type: kubernetes.io/tls, stringData: {tls.crt: x}}" "a TLS Secret has both parts" "data\[tls.key\]: Required"
create "{apiVersion: events.k8s.io/v1, kind: Event, metadata: {name: e}, eventTime: '2026-01-01T00:00:00.000000Z', reason: R, type: Normal, reportingController: example.com/c, reportingInstance: i, regarding: {kind: Pod, name: p, namespace: default}}" "an Event says who, what and why" "action: Required"

# RBAC: nobody gives away what he does not have
kubectl create serviceaccount x >/dev/null
kubectl create clusterrole author --verb=create,update,patch,get --resource=roles,rolebindings,clusterroles >/dev/null
kubectl create clusterrole reader --verb=get,list --resource=configmaps >/dev/null
kubectl create clusterrole powerful --verb='*' --resource=secrets >/dev/null
for name in author reader; do kubectl create rolebinding $name --clusterrole=$name --serviceaccount=default:x >/dev/null; done
as=--as=system:serviceaccount:default:x
until_true kubectl auth can-i get configmaps $as
create "$(role Role r configmaps get)" "a role may hold what its author holds" "created" $as
create "$(role Role q secrets get)" "a role with more is refused" "not currently held" $as
expect "nor may a role be widened" "not currently held" kubectl patch role r $as --type json -p '[{"op": "add", "path": "/rules/0/verbs/-", "value": "delete"}]'
create "$(binding b reader)" "a binding may grant what its author holds" "created" $as
create "$(binding c powerful)" "a binding that grants more is refused" "not currently held" $as
create "$(binding c missing)" "a binding to no role is refused" "not found" $as
kubectl create clusterrole binder --verb=bind --resource=clusterroles --resource-name=powerful >/dev/null
kubectl create rolebinding binder --clusterrole=binder --serviceaccount=default:x >/dev/null
until_true kubectl auth can-i bind clusterroles/powerful $as
create "$(binding c powerful)" "with bind on that role it is accepted" "created" $as
kubectl create clusterrole part --verb=get --resource=leases.coordination.k8s.io >/dev/null
kubectl label clusterrole part rbac.authorization.k8s.io/aggregate-to-view=true >/dev/null
until_true sh -c "kubectl get clusterrole view -o 'jsonpath={.rules[*].resources[*]}' | grep -qw leases" # some time after it is made
expect "roles are aggregated" "leases" kubectl get clusterrole view -o 'jsonpath={.rules[*].resources[*]}'

# Admission policies, for built-in kinds and custom resources; they take effect a second after they are written
policy() { # policy NAME GROUP VERSION RESOURCE MORE EXPRESSION
  printf -- '---\n{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: %s}, spec: {%s matchConstraints: {resourceRules: [{apiGroups: ["%s"], apiVersions: [%s], operations: [CREATE, UPDATE], resources: [%s]}]}, validations: [{expression: %s, message: the policy says no}]}}\n' "$1" "$5" "$2" "$3" "$4" "$6"
}
applies() { # applies NAME [MORE]: the policy holds everywhere
  printf -- '---\n{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: %s}, spec: {policyName: %s, validationActions: [Deny]%s}}\n' "$1" "$1" "${2:-}"
}
widget() { echo "{apiVersion: check.example.com/v1, kind: Widget, metadata: {name: $1}, spec: {size: $2}}"; }
accepted() { kubectl create --dry-run=server -f <(printf -- '---\n%s\n' "$1"); }
refused() { ! accepted "$1"; }
kubectl create -f - >/dev/null <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.check.example.com}
spec:
  group: check.example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}}
YAML
"$hack/apiserver/served.sh" widgets.check.example.com
until_true accepted "$(widget w 1)"
expect "an expression that does not compile is refused" "expression: Invalid value.*undeclared reference to 'objct'" kubectl create -f <(policy p "" v1 configmaps "" "'objct.metadata.name == \"a\"'")
kubectl create -f <(policy maps "" v1 configmaps "" "'!object.metadata.name.startsWith(\"bad\")'") -f <(applies maps) >/dev/null
kubectl create -f <(policy sizes check.example.com v1 widgets "paramKind: {apiVersion: v1, kind: ConfigMap}," "'object.spec.size <= int(params.data.most)'") \
  -f <(applies sizes ", paramRef: {selector: {matchLabels: {limits: widgets}}, parameterNotFoundAction: Deny}") >/dev/null
until_true refused "{apiVersion: v1, kind: ConfigMap, metadata: {name: bad}}"
# In force, it refuses for want of its parameter; accepting alone would also be what no policy does.
until_true refused "$(widget w 1)"
create "{apiVersion: v1, kind: ConfigMap, metadata: {name: bad}}" "K19: a policy refuses a built-in kind" "denied request: the policy says no"
create "{apiVersion: v1, kind: ConfigMap, metadata: {name: most, labels: {limits: widgets}}, data: {most: '3'}}" "K19: and lets others through" created
until_true accepted "$(widget w 1)"
create "$(widget small 3)" "K19: a policy with parameters accepts a custom resource" created
create "$(widget large 4)" "K19: and refuses one" "denied request: the policy says no"
expect "K19: also when it is changed" "denied request: the policy says no" kubectl patch widget small --type merge -p '{"spec": {"size": 9}}'
kubectl create namespace elsewhere >/dev/null
create "$(widget small 1)" "K19: without its parameter it is refused" "no params found for policy binding with .Deny. parameterNotFoundAction" -n elsewhere
kubectl create -f <(policy wrong apps v1 deployments "" "'object.spec.replcas > 0'") >/dev/null
# A path that is not there yet is printed as nothing, with exit code 0.
until_true sh -c "kubectl get validatingadmissionpolicy wrong -o 'jsonpath={.status.typeChecking.expressionWarnings[0].warning}' | grep -q ."
expect "K19: a field that the kind does not have is told in the policy's status" "undefined field 'replcas'" kubectl get validatingadmissionpolicy wrong -o yaml
kubectl delete validatingadmissionpolicybinding maps sizes >/dev/null
until_true accepted "$(widget w 9)"

# Webhooks that are called
python3 "$hack/apiserver/webhook.py" "$state/pki/server.crt" "$state/pki/server.key" "$state/webhook.port" &
webhook=$!
at_exit+=("kill $webhook 2>/dev/null")
until_true test -s "$state/webhook.port"
hook() { # hook KIND NAME PATH PORT FAILURE-POLICY: for ConfigMaps and Widgets whose name begins with NAME's letter
  printf -- '---\n{apiVersion: admissionregistration.k8s.io/v1, kind: %sWebhookConfiguration, metadata: {name: %s}, webhooks: [{name: %s.example.com, sideEffects: None, admissionReviewVersions: [v1], failurePolicy: %s, timeoutSeconds: 10, matchConditions: [{name: name, expression: "object.metadata.name.startsWith(\x27%s\x27)"}], clientConfig: {url: "https://127.0.0.1:%s/%s", caBundle: %s}, rules: [{apiGroups: ["", check.example.com], apiVersions: [v1], operations: [CREATE], resources: [configmaps, widgets]}]}]}\n' \
    "$1" "$2" "$2" "$5" "$2" "$4" "$3" "$(base64 -w0 "$state/pki/ca.crt")"
}
map() { echo "{apiVersion: v1, kind: ConfigMap, metadata: {name: $1}}"; }
port=$(cat "$state/webhook.port")
create "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: x}, webhooks: [{name: x.example.com, clientConfig: {url: 'http://127.0.0.1:1/'}}]}" "a webhook is complete and uses TLS" "sideEffects: Required.*|url: Invalid value.*https"
kubectl create -f <(hook Validating deny validate "$port" Fail) -f <(hook Mutating mutate mutate "$port" Fail) >/dev/null
until_true refused "$(map deny)"
create "$(map deny)" "K19: a webhook refuses a built-in kind" "denied the request: no ConfigMap of that name"
create "$(widget deny 1)" "K19: and a custom resource" "denied the request: no Widget of that name"
until_true sh -c "kubectl create configmap mutate --dry-run=server -o yaml | grep -q 'mutated: \"yes\"'"
kubectl create -f <(printf -- '---\n%s\n---\n%s\n' "$(map mutate)" "$(widget mutate 1)") >/dev/null
expect "K19: a webhook changes a built-in kind" "^yes$" kubectl get configmap mutate -o 'jsonpath={.metadata.labels.mutated}'
expect "K19: and a custom resource" "^yes$" kubectl get widget mutate -o 'jsonpath={.metadata.labels.mutated}'
kubectl create -f <(hook Mutating open mutate 1 Ignore) -f <(hook Validating closed validate 1 Fail) >/dev/null
until_true refused "$(map closed)"
create "$(map closed)" "K19: one that is down refuses with failurePolicy Fail" "failed calling webhook.*connection refused"
create "$(map open)" "K19: and lets through with Ignore" created
kubectl delete validatingwebhookconfiguration deny closed >/dev/null
kubectl delete mutatingwebhookconfiguration mutate open >/dev/null
kill $webhook

# A cluster of one family knows no other; one of both gives a Service what its policy says
create "$(service f "ipFamilies: [IPv6], ports: [{port: 1}]")" "P3: a family that the cluster lacks is refused" "ipFamilies\[0\]: Invalid value.*not configured on this cluster"
create "$(service f "ipFamilyPolicy: RequireDualStack, ports: [{port: 1}]")" "P3: nor does it have two" "not configured for dual-stack"
create "$(service f "ipFamilyPolicy: PreferDualStack, ports: [{port: 1}]")" "P3: one that would like both gets what there is" "created"
dual=$(mktemp -d)
at_exit+=("$hack/apiserver/stop.sh $dual" "rm -rf $dual")
"$hack/apiserver/run.sh" "$dual" --service-cluster-ip-range 10.96.0.0/12,fd00:10:96::/112 >/dev/null
on=--kubeconfig=$dual/kubeconfig four='10\.[0-9.]+' six='fd00:10:96::[0-9a-f:]+'
families() { expect "P3: $1" "$3" kubectl "$on" get service "$2" -o 'jsonpath={.spec.ipFamilyPolicy} {.spec.ipFamilies[*]} {.spec.clusterIP} {.spec.clusterIPs[*]}'; }
until_true kubectl "$on" get namespace default
create "$(service one "ports: [{port: 1}]")" "P3: a Service" created "$on"
families "has the first family alone" one "^SingleStack IPv4 ($four) \1$"
create "$(service both "ipFamilyPolicy: PreferDualStack, ports: [{port: 1}]")" "P3: a Service of both families" created "$on"
families "has an address of each" both "^PreferDualStack IPv4 IPv6 ($four) \1 $six$"
create "$(service sixfour "ipFamilies: [IPv6, IPv4], ports: [{port: 1}]")" "P3: two families" created "$on"
families "are in the order that was asked for" sixfour "^RequireDualStack IPv6 IPv4 ($six) \1 $four$"
create "$(service none "clusterIP: None, ipFamilyPolicy: PreferDualStack, ports: [{port: 1}]")" "P3: a headless Service" created "$on"
families "has families without addresses" none "^PreferDualStack IPv4 IPv6 None None$"
expect "P3: a second family can be had later" patched kubectl "$on" patch service one -p '{"spec": {"ipFamilyPolicy": "PreferDualStack"}}'
families "with its address" one "^PreferDualStack IPv4 IPv6 ($four) \1 $six$"
expect "P3: and given up" patched kubectl "$on" patch service both -p '{"spec": {"ipFamilyPolicy": "SingleStack"}}'
families "with its address" both "^SingleStack IPv4 ($four) \1$"
expect "P3: the first family stays" "Invalid value" kubectl "$on" patch service both -p '{"spec": {"ipFamilies": ["IPv6"]}}'
create "$(service f "ipFamilyPolicy: SingleStack, ipFamilies: [IPv4, IPv6], ports: [{port: 1}]")" "P3: one family is not two" "when multiple IP families are specified" "$on"

# A restart keeps port, data and tokens; a stop ends open watches at once
token=$(kubectl create token x) port=$(cat "$state/port")
kubectl get pods -w >"$state/watch" 2>&1 &
watch=$!
until_true test -s "$state/watch"
began=$(date +%s)
"$hack/apiserver/stop.sh" "$state"
# Who does not end by itself is killed after 20 s.
[ $(($(date +%s) - began)) -lt 20 ] && passed=$((passed + 1)) || { failed=$((failed + 1)); echo "FAILED: stopping took 20 s or more" >&2; }
kill $watch 2>/dev/null || true
"$hack/apiserver/run.sh" "$state" >/dev/null
expect "the port is kept" "^$port$" cat "$state/port"
expect "the data are kept" "p +.*Pending" kubectl get pods
expect "tokens are kept" "system:serviceaccount:default:x" kubectl --kubeconfig /dev/null --server "https://127.0.0.1:$port" \
  --certificate-authority "$state/pki/ca.crt" --token "$token" auth whoami
create "$(service u "clusterIP: $(kubectl get service s -o 'jsonpath={.spec.clusterIP}'), ports: [{port: 1}]")" "addresses are remembered" "already allocated"
kubectl delete serviceaccount x >/dev/null

finish

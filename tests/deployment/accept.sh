#!/usr/bin/env bash
# A real Kubernetes API server takes the chart: every set of values, an upgrade, a rollback, scaling, in a namespace that enforces "restricted".
#
#   tests/deployment/tools.sh cluster     once: builds the control plane, ten minutes or more
#   tests/deployment/accept.sh            about two minutes; needs no root, no container engine and no network
#
# etcd, API server, controller manager and scheduler are the real ones; nodes are faked by kwok, so pods are scheduled and called ready but never run.
# What runs inside them is shown by image.sh, and what a rolling update does to sessions by tests/system/test_rollout.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
chart=$here/helm/relay
PATH=$("$here/tests/deployment/tools.sh" where):$PATH
for tool in helm kubectl kube-apiserver kube-controller-manager kube-scheduler etcd kwok; do
  command -v $tool >/dev/null || { echo "$tool is missing: tests/deployment/tools.sh cluster builds it" >&2; exit 1; }
done
work=$(mktemp -d)
export KUBECONFIG=$work/kubeconfig HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm
read -r api_port etcd_port peer_port kcm_port scheduler_port < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(5)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))')
running=()

stop() { # etcd last: an API server whose etcd is gone hangs and keeps its port
  local code=$?
  for ((i = ${#running[@]} - 1; i >= 0; i--)); do
    kill "${running[i]}" 2>/dev/null || true
    wait "${running[i]}" 2>/dev/null || true
  done
  [ $code = 0 ] || { echo "failed; logs are in $work" >&2; exit $code; }
  rm -rf "$work"
}
trap stop EXIT
start() { "$@" >"$work/$1.log" 2>&1 & running+=($!); }
say() { printf '%6.1f s  %s\n' "$(($(date +%s%N) / 1000000 - began))e-3" "$*"; }
die() { say "$*"; exit 1; }
until_true() { # seconds, command
  local deadline=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || die "in vain: $*"
    sleep 0.2
  done
}
began=$(($(date +%s%N) / 1000000))

openssl genrsa -out "$work/sa.key" 2048 2>/dev/null
token=$(openssl rand -hex 16)
echo "$token,admin,admin,\"system:masters\"" >"$work/tokens.csv"
cat >"$KUBECONFIG" <<X
{apiVersion: v1, kind: Config, current-context: here, contexts: [{name: here, context: {cluster: here, user: admin}}],
 clusters: [{name: here, cluster: {server: "https://127.0.0.1:$api_port", insecure-skip-tls-verify: true}}],
 users: [{name: admin, user: {token: "$token"}}]}
X
start etcd --data-dir "$work/etcd" --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
  --listen-peer-urls "http://127.0.0.1:$peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
  --initial-cluster "default=http://127.0.0.1:$peer_port"
start kube-apiserver --etcd-servers="http://127.0.0.1:$etcd_port" --secure-port="$api_port" --bind-address=127.0.0.1 --cert-dir="$work/certs" \
  --service-account-key-file="$work/sa.key" --service-account-signing-key-file="$work/sa.key" \
  --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.0.0.0/24 --token-auth-file="$work/tokens.csv" \
  --authorization-mode=RBAC --disable-admission-plugins=ServiceAccount
until_true 60 kubectl get --raw /readyz
start kube-controller-manager --kubeconfig "$KUBECONFIG" --leader-elect=false --bind-address=127.0.0.1 --secure-port="$kcm_port" --cert-dir="$work/certs" \
  --service-account-private-key-file="$work/sa.key" \
  --controllers=deployment,replicaset,statefulset,disruption,job,endpointslice,garbagecollector,namespace,serviceaccount
start kube-scheduler --kubeconfig "$KUBECONFIG" --leader-elect=false --bind-address=127.0.0.1 --secure-port="$scheduler_port" --cert-dir="$work/certs"
cat >"$work/stages.yaml" <<'X'
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: node}
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector: {matchExpressions: [{key: '.status.conditions.[] | select( .type == "Ready" ) | .status', operator: NotIn, values: ["True"]}]}
  next: {statusTemplate: 'conditions: [{type: Ready, status: "True", reason: ok, message: ok, lastTransitionTime: {{ Now | Quote }}}]'}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
      - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
      - {key: .status.podIP, operator: DoesNotExist}
  next:
    statusTemplate: >-
      {phase: Running, podIP: 10.1.0.7, hostIP: 127.0.0.1, conditions: [
      {type: Ready, status: "True", lastTransitionTime: {{ Now | Quote }}},
      {type: ContainersReady, status: "True", lastTransitionTime: {{ Now | Quote }}}]}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: gone}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector: {matchExpressions: [{key: .metadata.deletionTimestamp, operator: Exists}]}
  next: {finalizers: {empty: true}, delete: true}
X
start kwok --kubeconfig "$KUBECONFIG" --manage-all-nodes=true --cidr=10.1.0.0/16 --config "$work/stages.yaml"
kubectl create -f - >/dev/null <<'X'
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {kubernetes.io/os: linux, kubernetes.io/hostname: n1}}
status: {capacity: &all {cpu: "16", memory: 64Gi, pods: "100"}, allocatable: *all}
X
until_true 20 kubectl taint nodes n1 node.kubernetes.io/not-ready- # the controller that would do it does not run
kubectl create ns relay >/dev/null
kubectl label ns relay pod-security.kubernetes.io/enforce=restricted >/dev/null
definition() { # group, plural, kind, version: keeps whatever fields there are
  kubectl create -f - >/dev/null <<X
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: $2.$1}
spec:
  group: $1
  scope: Namespaced
  names: {plural: $2, singular: ${3,,}, kind: $3}
  versions: [{name: $4, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
X
}
definition monitoring.coreos.com podmonitors PodMonitor v1
definition monitoring.coreos.com servicemonitors ServiceMonitor v1
definition monitoring.coreos.com prometheusrules PrometheusRule v1
definition keda.sh scaledobjects ScaledObject v1alpha1
definition keda.sh triggerauthentications TriggerAuthentication v1alpha1
until_true 20 kubectl get triggerauthentications -n relay
say "$(kubectl version 2>/dev/null | sed -n 's/Server Version: //p') serves, namespace relay enforces restricted"

# The namespace does enforce it: else nothing below would say anything.
if kubectl -n relay run loose --image=loose >"$work/loose.log" 2>&1; then die "a pod without restrictions was let in"; fi
grep -q "violates PodSecurity" "$work/loose.log" || { cat "$work/loose.log"; die "it was refused for another reason"; }
say "a pod without restrictions is refused"

pods() { kubectl -n relay get pods -l app.kubernetes.io/instance="$1" --field-selector=status.phase=Running -o name | wc -l; }
are_pods() { [ "$(pods "$1")" = "$2" ]; }
expect_pods() { until_true 30 are_pods "$1" "$2"; }
no_pods() { [ -z "$(kubectl -n relay get pods -o name)" ]; }
setting() { kubectl -n relay get configmap r-relay -o 'jsonpath={.data.relay\.yaml}' | sed -n "s/ *$1: //p"; }
revision() { kubectl -n relay get statefulset r-relay -o 'jsonpath={.status.currentRevision}'; }
is_replaced() { [ "$(revision)" != "$first" ]; }
is_back() { [ "$(revision)" = "$first" ]; }
release() { helm -n relay "$@" --wait --timeout 90s >"$work/helm.log" 2>&1 || { cat "$work/helm.log"; die "helm $*"; }; }

release install r "$chart" -f "$chart/ci/minimal-values.yaml" --set workload.minReadySeconds=0
expect_pods r 3
first=$(revision)
say "installed: $(pods r) pods, $(kubectl -n relay get pods -o name | sort | tr '\n' ' ')"
release upgrade r "$chart" -f "$chart/ci/minimal-values.yaml" --set workload.minReadySeconds=0 --set settings.api.concurrency_max=64
until_true 30 is_replaced
[ "$(setting concurrency_max)" = 64 ] || die "the setting did not arrive"
say "upgraded: a changed setting replaced all pods"
release rollback r 1
until_true 30 is_back
[ -z "$(setting concurrency_max)" ] || die "the setting is still there"
say "rolled back"
kubectl -n relay scale statefulset r-relay --replicas=5 >/dev/null
expect_pods r 5
kubectl -n relay scale statefulset r-relay --replicas=2 >/dev/null
expect_pods r 2
say "scaled to five and to two"
allowed=$(kubectl -n relay get pdb r-relay -o 'jsonpath={.status.disruptionsAllowed}')
[ "$allowed" = 1 ] || die "the disruption budget allows $allowed"
say "the disruption budget lets one go"
release uninstall r
until_true 30 no_pods

sed -n '/^# values.yaml$/,/^[^a-z #]/p' "$here/docs/production.md" | sed '$d' >"$work/guide-values.yaml" # what the guide has one write
for values in "$work/guide-values.yaml" "$chart"/ci/*-values.yaml; do
  name=$(basename "$values" -values.yaml)
  # Everything that it renders, the pod of `helm test` too, is judged by the server; then the release itself.
  helm template r "$chart" -n relay -f "$values" | kubectl -n relay apply --dry-run=server -f - >"$work/apply.log" 2>&1 || { cat "$work/apply.log"; die "$name"; }
  ! grep -i "warning" "$work/apply.log" || die "$name: the server warns"
  # No controller binds volumes here.
  release install r "$chart" -f "$values" --set workload.minReadySeconds=0 --set-json 'workload.volumeClaimTemplates=[]'
  count=$(pods r)
  [ "$count" -ge 1 ] || die "$name: no pod"
  release uninstall r
  until_true 30 no_pods
  say "$name: accepted, $count pods"
done

# What must not get through, with the words that it is refused by.
refused() { # words, settings...
  local words=$1; shift
  if helm -n relay install r "$chart" -f "$chart/ci/minimal-values.yaml" "$@" >"$work/refused.log" 2>&1; then die "was not refused: $*"; fi
  grep -q "$words" "$work/refused.log" || { cat "$work/refused.log"; die "was refused for another reason: $*"; }
  say "refused: $*"
}
refused "leave at least 10 seconds more" --set workload.terminationGracePeriodSeconds=20
refused "session timeout of static members" --set workload.sessionTimeoutSeconds=30
refused "additional properties" --set settings.kafka.topic=a
refused "enable one of them" --set autoscaling.hpa.enabled=true --set autoscaling.keda.enabled=true --set autoscaling.keda.partitions=12
say "all accepted that should be"

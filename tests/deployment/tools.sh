#!/usr/bin/env bash
# Fetches what checks the chart, in pinned versions and from registries only, and keeps it for the next time.
#
#   tests/deployment/tools.sh checkers    helm, helm-unittest, helm-docs, actionlint, Prometheus: two to three minutes once
#   tests/deployment/tools.sh cluster     a Kubernetes control plane besides, for accept.sh: ten minutes or more once
#   tests/deployment/tools.sh where       prints the folder that they are in
#
# They are built by Go from the module proxy, since most are in no registry as programs; promtool comes out of Debian's package. Where there is no
# Go, or no apt, it says so and goes on: the tests that need the tool say why they are skipped.
set -euo pipefail
tools=${TESTS_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/relay-tools}
helm=v4.3.1 unittest=v1.1.2 docs=v1.14.2 actionlint=v1.7.12 kwok=v0.8.0 kubernetes=v1.36.3 etcd=v3.6.8
export PATH=$PATH:/usr/local/go/bin GOBIN=$tools/bin GOFLAGS=-buildvcs=false
mkdir -p "$GOBIN"

have() { [ "$(cat "$tools/$1.version" 2>/dev/null)" = "$2" ] && [ -x "$GOBIN/$1" ]; }
got() { echo "$2" >"$tools/$1.version"; echo "$1 $2 ($SECONDS s)"; }

install() { # name module version
  have "$1" "$3" && return
  go install -ldflags "-s -w" "$2@$3"
  got "$1" "$3"
}

build() { # name package version [linker flags], the rest of go.mod on stdin: for modules with replacements, which `go install` refuses
  have "$1" "$3" && { cat >/dev/null; return; }
  local source=$tools/src/$1
  mkdir -p "$source"
  { printf 'module tools/%s\n\ngo 1.26.0\n\n' "$1"; cat; } >"$source/go.mod"
  printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$2" >"$source/tools.go"
  (cd "$source" && go mod tidy && go build -ldflags "-s -w ${4:-}" -o "$GOBIN/$1" "$2")
  got "$1" "$3"
}

promtool() {
  local version=debian-with-server folder
  have promtool $version && return
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then echo "promtool: no apt here" >&2; return; fi
  folder=$(mktemp -d)
  if ! (cd "$folder" && apt-get download -qq prometheus) 2>/dev/null; then
    if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo -n apt-get update -qq; fi
    (cd "$folder" && apt-get download -qq prometheus)
  fi
  dpkg-deb -x "$folder"/prometheus_*.deb "$folder/x"
  cp "$folder/x/usr/bin/promtool" "$folder/x/usr/bin/prometheus" "$GOBIN/"
  rm -rf "$folder"
  got promtool $version
}

checkers() {
  promtool
  # The shapes of custom resources, which Kubernetes itself does not know.
  local custom
  custom=$(dirname "${BASH_SOURCE[0]}")/custom
  if [ "$custom/node_modules/.package-lock.json" -nt "$custom/package-lock.json" ]; then
    : # they are there
  elif command -v npm >/dev/null; then
    npm ci --silent --no-audit --no-fund --prefix "$custom"
  else
    echo "no npm here: the shapes of custom resources are not checked" >&2
  fi
  if ! command -v go >/dev/null; then echo "no go here: helm and what belongs to it cannot be built" >&2; return; fi
  install helm helm.sh/helm/v4/cmd/helm $helm
  build untt github.com/helm-unittest/helm-unittest/cmd/helm-unittest $unittest <<X
require github.com/helm-unittest/helm-unittest $unittest
replace github.com/vmware-labs/yaml-jsonpath v0.3.2 => github.com/helm-unittest/yaml-jsonpath v0.4.0
X
  install helm-docs github.com/norwoodj/helm-docs/cmd/helm-docs $docs
  install actionlint github.com/rhysd/actionlint/cmd/actionlint $actionlint
}

cluster() {
  command -v go >/dev/null || { echo "no go here" >&2; exit 1; }
  local version=k8s.io/component-base/version binary minor sources
  minor=${kubernetes#v1.}
  sources=$(go mod download -json k8s.io/kubernetes@$kubernetes | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
  # The staging repositories are replaced by paths there; from the proxy they have versions of their own.
  sed -n '/^replace (/,/^)/p' "$sources/go.mod" | awk -v v="v0.$minor" '/=>/{print "replace "$1" => "$1" "v}' >"$tools/replacements"
  for binary in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
    { echo "require k8s.io/kubernetes $kubernetes"; cat "$tools/replacements"; } |
      build $binary k8s.io/kubernetes/cmd/$binary $kubernetes "-X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}"
  done
  if ! have etcd $etcd; then
    mkdir -p "$tools/src/etcd"
    printf 'module tools/etcd\n\ngo 1.26.0\n\nrequire go.etcd.io/etcd/server/v3 %s\n' $etcd >"$tools/src/etcd/go.mod"
    printf 'package main\n\nimport (\n\t"os"\n\n\t"go.etcd.io/etcd/server/v3/etcdmain"\n)\n\nfunc main() { etcdmain.Main(os.Args) }\n' >"$tools/src/etcd/main.go"
    (cd "$tools/src/etcd" && go mod tidy && go build -o "$GOBIN/etcd" .)
    got etcd $etcd
  fi
  install kwok sigs.k8s.io/kwok/cmd/kwok $kwok
}

case ${1:-} in
checkers) checkers ;;
cluster) checkers; cluster ;;
where) echo "$GOBIN" ;;
*) sed -n 2,8p "$0"; exit 2 ;;
esac

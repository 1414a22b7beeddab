#!/usr/bin/env bash
# A real schema registry (Apicurio, in memory, its API in Confluent's manner) on this machine, for tests.
#
#   registry.sh start     start it on a free port and wait until it serves; prints its URL
#   registry.sh destroy   stop it at once
#   registry.sh log       print the path of its log
#
# Environment:
#   REGISTRY_INSTANCE  name of the registry (default "default")
#   REGISTRY_ARCHIVE   wanted the first time: the archive of its application, apicurio-registry-app-3.0.9-all.tar.gz, as Maven Central has it
#                      (105 MB; mvn alone cannot fetch it, since the project's parent was never published)
#   REGISTRY_VERSION   version of Apicurio (default 3.0.9, the last that runs on Java 17)
#   REGISTRY_CACHE     where it lies (default ~/.cache/relay-registry)
#   REGISTRY_JAVA      the java to use (default: java in PATH); 17 or newer
#
# Needs java 17+, curl and tar.
set -euo pipefail

version=${REGISTRY_VERSION:-3.0.9}
cache=${REGISTRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/relay-registry}
instance=${REGISTRY_INSTANCE:-default}
java=${REGISTRY_JAVA:-java}
app=$cache/app-$version
dir=$cache/instances/$instance
archive=${REGISTRY_ARCHIVE:-}

die() { echo "registry.sh: $*" >&2; exit 1; }

unpack() {
  [ -f "$app/.complete" ] && return
  [ -f "$archive" ] || die "set REGISTRY_ARCHIVE to the archive of Apicurio Registry $version (see the head of this script)"
  mkdir -p "$cache"
  exec 8>"$cache/.unpack.lock"
  flock 8
  if [ ! -f "$app/.complete" ]; then
    local part
    part=$(mktemp -d "$cache/.part.XXXXXX")
    tar xzf "$archive" -C "$part" || { rm -rf "$part"; die "$archive is damaged"; }
    touch "$part/.complete"
    rm -rf "$app"
    mv "$part" "$app"
  fi
  exec 8>&-
}

pid() { # the pid when it runs, else nothing
  local found
  found=$(cat "$dir/pid" 2>/dev/null) || return 0
  if grep -qsF "$app" "/proc/$found/cmdline"; then echo "$found"; fi
}

port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start() {
  unpack
  mkdir -p "$dir"
  if [ -z "$(pid)" ]; then
    local port
    for _ in $(seq 200); do
      port=$((20000 + RANDOM % 12000))
      ! port_free "$port" || break
    done
    echo "http://127.0.0.1:$port/apis/ccompat/v7" >"$dir/url"
    QUARKUS_HTTP_HOST=127.0.0.1 QUARKUS_HTTP_PORT=$port setsid "$java" -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
      -jar "$app/apicurio-registry-app-$version-runner.jar" >"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    disown
  fi
  for _ in $(seq 600); do
    if curl -fs -o "$dir/answer" "$(cat "$dir/url")/subjects"; then
      cat "$dir/url"
      return
    fi
    [ -n "$(pid)" ] || { tail -5 "$dir/log" >&2; die "it did not start"; }
    sleep 0.2
  done
  die "not ready after 120 s, see $dir/log"
}

case "${1:-}" in
start) start ;;
destroy)
  found=$(pid)
  [ -z "$found" ] || kill -9 "$found"
  rm -rf "$dir"
  ;;
log) echo "$dir/log" ;;
*)
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
  exit 2
  ;;
esac

#!/usr/bin/env bash
# Builds the image without an engine, on a Debian that stands in for the official base, and tries it. Needs root, buildah, debootstrap.
#
#   tests/deployment/image.sh           build, then look at the result and run it
#   tests/deployment/image.sh sbom F    likewise, and write a CycloneDX list of what is in it to F
#
# On Debian: apt-get install buildah debootstrap. The base takes a minute or more once, a build some seconds. No container runs isolated here
# (chroot only): this shows that the file builds and what it contains, not what an engine does with it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
store=${TESTS_IMAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/relay-image}
base=localhost/python:3.13-slim-trixie
image=localhost/relay:test
mkdir -p "$store"
b() { buildah --root "$store/storage" --runroot "$store/run" --storage-driver vfs "$@"; }
say() { printf '%-44s %s\n' "$1" "$2"; }
expect() { if [ "$2" = "$3" ]; then say "$1" "$2"; else say "$1" "$2, not $3"; exit 1; fi; }

certificates=/etc/ssl/certs/ca-certificates.crt # of this machine: a proxy on the way to the index may have its own
if ! b inspect --type image "$base" >/dev/null 2>&1; then
  rm -rf "$store/rootfs"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie "$store/rootfs" >"$store/debootstrap.log"
  ln -sf python3.13 "$store/rootfs/usr/bin/python"
  c=$(b from scratch)
  b copy -q "$c" "$store/rootfs" / >/dev/null
  b config --env PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "$c"
  b commit -q "$c" "$base" >/dev/null
  b rm "$c" >/dev/null
  rm -rf "$store/rootfs"
fi

index=() # an index of one's own, where there is one, for the build alone
for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL HTTPS_PROXY HTTP_PROXY NO_PROXY https_proxy http_proxy no_proxy; do
  [ -z "${!name:-}" ] || index+=(--env "$name")
done
began=$SECONDS
b bud --isolation chroot --pull-never --format docker --build-arg BASE_IMAGE="$base" --build-arg REVISION="$(git -C "$here" rev-parse HEAD)" \
  --build-arg CREATED="$(git -C "$here" log -1 --format=%cI)" -v "$certificates:$certificates:ro" "${index[@]}" -t "$image" "$here" >"$store/build.log" 2>&1 || { tail -30 "$store/build.log"; exit 1; }
say "built in" "$((SECONDS - began)) s"

c=$(b from --pull-never "$image")
root=$(b mount "$c")
trap 'b umount "$c" >/dev/null; b rm "$c" >/dev/null' EXIT
inside() { b run --isolation chroot "$c" -- "$@"; }
config() { b inspect --type image --format "{{$1}}" "$image"; }

expect "user" "$(config .Docker.Config.User)" 10001:10001
expect "stop signal" "$(config .Docker.Config.StopSignal)" SIGTERM
expect "entry point" "$(config .Docker.Config.Entrypoint)" "[relay]"
expect "health check" "$(config .Docker.Config.Healthcheck.Test)" "[CMD relay health]"
expect "licence label" "$(config 'index .Docker.Config.Labels "org.opencontainers.image.licenses"')" Apache-2.0
expect "revision label" "$(config 'index .Docker.Config.Labels "org.opencontainers.image.revision"')" "$(git -C "$here" rev-parse HEAD)"
expect "what runs there is" "$(inside id -u)" 10001
for tool in gcc cc make uv; do
  if inside sh -c "command -v $tool" >/dev/null 2>&1; then say "$tool" "is left"; exit 1; fi
done
say "compilers, uv" "none"
expect "files of the relay that it could change" "$(inside find /opt/relay -writable -not -type l | wc -l)" 0
inside relay version | sed 's/^/  /'
# A settings error is the relay's own, so all its imports worked.
code=0; inside relay run 2>/dev/null || code=$?
expect "exit code without settings" "$code" 3
# With nothing that can be written: a read-only bind of the whole root, no home, no /tmp.
code=0
unshare --mount sh -c "mount --bind '$root' '$root' && mount -o remount,bind,ro '$root' &&
  exec chroot --userspec=10001:10001 '$root' env -i PATH=/opt/relay/bin:/usr/bin:/bin RELAY_KAFKA__BOOTSTRAP_SERVERS=b:9092 \
  RELAY_API__URL=https://a.example relay validate" >/dev/null || code=$?
expect "exit code on a root that is read-only" "$code" 0
say "size of the environment" "$(du -sh "$root/opt/relay" | cut -f1)"

if [ "${1:-}" = sbom ]; then
  # What is installed there, as the interpreter of the image sees it; nothing is added to the image.
  inside python -c 'from importlib.metadata import distributions
for one in sorted(distributions(), key=lambda one: one.name): print(f"{one.name}=={one.version}")' |
    cyclonedx-py requirements --output-reproducible --output-format JSON -o "$2" -
  say "SBOM" "$2"
fi

#!/usr/bin/env bash
# Builds the image ksim/kafka:<version> (see README.md) without asking any image registry.
# Does nothing when the image is there and was made from the same inputs. FORCE=1 builds anyway.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
image=ksim/kafka:$version

say() { echo "kafka-image: $*" >&2; }
die() { say "$*"; exit 1; }

# What a Kafka broker needs of the JDK. java.desktop is for java.beans, which log4j uses; its native libraries go (below).
modules=java.base,java.compiler,java.desktop,java.instrument,java.logging,java.management,java.management.rmi,java.naming,java.net.http
modules+=,java.rmi,java.scripting,java.security.jgss,java.security.sasl,java.sql,java.xml
modules+=,jdk.crypto.ec,jdk.management,jdk.management.agent,jdk.naming.dns,jdk.net,jdk.security.auth,jdk.security.jgss,jdk.unsupported

newest_jdk() { # the JDK of JAVA_HOME, else the newest below /usr/lib/jvm that has jlink and javac and is 17 or later
  local home release best='' best_release=16
  if [[ -n "${JAVA_HOME-}" && -x "$JAVA_HOME/bin/jlink" ]]; then
    echo "$JAVA_HOME"
    return
  fi
  for home in /usr/lib/jvm/*; do
    [[ -x $home/bin/jlink && -x $home/bin/javac && -f $home/release ]] || continue
    can_link "$home" || continue
    release=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release")
    if ((release > best_release)); then
      best=$home best_release=$release
    fi
  done
  echo "$best"
}

can_link() { # jlink needs jmods, or a JDK that can link from its own run-time image (JEP 493)
  [[ -f $1/jmods/java.base.jmod ]] || "$1/bin/jlink" --help 2>/dev/null | grep -q 'run-time image enabled'
}

require() { # all that is missing, in one message
  local missing=()
  docker version >/dev/null 2>&1 || missing+=('a Docker daemon that answers (make docker)')
  command -v mvn >/dev/null || missing+=('Maven (apt-get install maven)')
  [[ -n "$jdk" ]] || missing+=('a JDK 17 or newer with jlink (apt-get install openjdk-17-jdk-headless)')
  [[ $(uname -s) == Linux ]] || missing+=('Linux: the image takes bash and the C library from this machine')
  if [[ -z "$(static_busybox)" ]] && ! command -v apt-get >/dev/null; then
    missing+=('a static busybox in PATH, or apt-get to fetch it')
  fi
  ((${#missing[@]} == 0)) && return
  say "cannot build $image. Missing:"
  printf '  - %s\n' "${missing[@]}" >&2
  exit 1
}

static_busybox() {
  local path
  path=$(command -v busybox || true)
  # ldd fails on a static binary.
  if [[ -n $path ]] && ! ldd "$path" >/dev/null 2>&1; then
    echo "$path"
  fi
}

inputs_hash() {
  (
    cd "$here"
    find . -type f ! -name README.md -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    cat "$jdk/release"
    bash --version | head -n 1
  ) | sha256sum | cut -c1-32
}

label() { docker image inspect --format "{{index .Config.Labels \"$1\"}}" "$image" 2>/dev/null || true; }

copy_with_libs() { # binaries (at any path) whose shared libraries go to the same paths in the image
  local lib
  ldd "$@" 2>/dev/null | sed -n 's:.*\(=> \|^[[:space:]]\)\(/[^ ]*\) (0x.*:\2:p' | sort -u |
    while read -r lib; do
      case $lib in "$build"/*) continue ;; esac
      install -D -m 755 "$(readlink -f "$lib")" "$root$lib"
    done
}

make_runtime() {
  local strip=(--strip-debug --no-man-pages --no-header-files)
  say "jlink from $jdk"
  "$jdk/bin/jlink" "${strip[@]}" --add-modules "$modules" --output "$root/opt/java" 2>"$build/jlink.log" ||
    { cat "$build/jlink.log" >&2; die 'jlink failed'; }
  rm -rf "$root/opt/java/legal"
  # No windows, fonts, pictures or sound here.
  rm -f "$root"/opt/java/lib/lib{awt,awt_headless,awt_xawt,fontmanager,freetype,javajpeg,jawt,jsound,lcms,mlib_image,splashscreen}.so
  # Where binutils are: native libraries need no debug symbols here.
  if command -v strip >/dev/null; then
    find "$root/opt/java" -type f \( -name '*.so' -o -path '*/bin/*' \) -exec strip -p --strip-unneeded {} + 2>/dev/null || true
  fi
}

make_userland() {
  local busybox applet
  busybox=$(static_busybox)
  if [[ -z $busybox ]]; then
    say 'fetching the Debian package busybox-static'
    (cd "$build" && apt-get download -qq -o APT::Sandbox::User=root busybox-static) || die 'apt-get download busybox-static failed; run apt-get update'
    mkdir "$build/busybox"
    dpkg-deb -x "$build"/busybox-static_*.deb "$build/busybox"
    busybox=$(find "$build/busybox" -type f -path '*/bin/busybox' -print -quit)
  fi
  mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,etc,root,proc,sys,dev}
  install -m 755 "$busybox" "$root/bin/busybox"
  for applet in $("$busybox" --list); do
    ln -s /bin/busybox "$root/usr/bin/$applet"
  done
  install -m 755 "$(command -v bash)" "$root/bin/bash"
  rm -f "$root/usr/bin/bash" "$root/bin/sh"
  ln -s /bin/bash "$root/usr/bin/bash"
  ln -s /bin/busybox "$root/bin/sh"
  ln -s /usr/bin/env "$root/bin/env"
  copy_with_libs "$root/bin/bash" "$root/opt/java/bin/java" $(find "$root/opt/java" -name '*.so')
  printf 'root:x:0:0:root:/root:/bin/bash\nappuser:x:1000:1000:appuser:/:/bin/bash\n' >"$root/etc/passwd"
  printf 'root:x:0:\nappuser:x:1000:\n' >"$root/etc/group"
  printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
}

make_kafka() {
  say "jars of Kafka $version from Maven Central"
  (cd "$build" && mvn -q -B -ntp -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies \
    -DoutputDirectory="$root/opt/kafka/libs") || die 'Maven could not fetch the jars'
  cp -R "$here/rootfs/." "$root/"
  chmod 755 "$root"/etc/kafka/docker/*
  # What the broker's own user writes: its data, its properties, and /tmp.
  mkdir -p "$build/ctx/owned/data" "$build/ctx/cds" "$root/tmp" "$build/warm"
  chmod 1777 "$root/tmp"
  "$jdk/bin/javac" --release 17 -cp "$root/opt/kafka/libs/*" -d "$build/warm" "$here/Warm.java"
}

docker_build() { # stage, tag
  DOCKER_BUILDKIT=0 docker build -q --build-arg KAFKA_VERSION="$version" --build-arg INPUTS="$inputs" \
    --build-arg STAGE="$1" -t "$2" -f "$here/Dockerfile" "$build/ctx" 2>"$build/docker.log" >/dev/null ||
    { cat "$build/docker.log" >&2; die 'docker build failed'; }
}

await_log() { # container, pattern: bounded wait for a line of its log
  local deadline=$((SECONDS + 90))
  until docker logs "$1" 2>&1 | grep -q "$2"; do
    if ((SECONDS > deadline)) || [[ $(docker inspect -f '{{.State.Running}}' "$1") != true ]]; then
      docker logs --tail 40 "$1" >&2
      die "the broker did not come to \"$2\""
    fi
    sleep 0.2
  done
}

make_format() { # the files that formatting writes, without meta.properties
  local c=$stage_name-format
  docker create --name "$c" --label ksim.image=build "$stage" \
    bash -c '/etc/kafka/docker/configure && /etc/kafka/docker/launch format-only' >/dev/null
  docker start -a "$c" >"$build/format.log" 2>&1 || { cat "$build/format.log" >&2; die 'format failed'; }
  mkdir -p "$root/opt/kafka/formatted"
  docker cp "$c:/var/lib/kafka/data/." "$root/opt/kafka/formatted" >/dev/null
  rm -f "$root/opt/kafka/formatted/meta.properties" "$root/opt/kafka/formatted/.lock"
  docker rm -f "$c" >/dev/null
  chmod -R a+rX "$root/opt/kafka/formatted"
}

make_archive() { # AppCDS: the classes that a working broker loads, laid out once for all later starts
  local c=$stage_name-warm d=$stage_name-dump
  say 'class archive: a broker at work'
  docker create --name "$c" --label ksim.image=build -e KAFKA_OPTS='-XX:DumpLoadedClassList=/tmp/classes.lst' \
    -e KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS=1 "$stage" >/dev/null
  docker cp "$build/warm/." "$c:/tmp" >/dev/null
  docker start "$c" >/dev/null
  await_log "$c" 'Transitioning from RECOVERY to RUNNING'
  docker exec "$c" bash -c 'java -cp "/tmp:/opt/kafka/libs/*" -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.properties -Xshare:off Warm localhost:9092' \
    >"$build/warm.log" 2>&1 || { tail -n 40 "$build/warm.log" >&2; die 'the warm-up clients failed'; }
  docker stop -t 30 "$c" >/dev/null
  docker cp "$c:/tmp/classes.lst" "$build/classes.lst" >/dev/null
  docker create --name "$d" --label ksim.image=build "$stage" bash -c \
    'jars=(/opt/kafka/libs/*.jar); IFS=:; java -Xshare:dump -XX:SharedClassListFile=/tmp/classes.lst -XX:SharedArchiveFile=/tmp/kafka.jsa -cp "${jars[*]}"' >/dev/null
  docker cp "$build/classes.lst" "$d:/tmp/classes.lst" >/dev/null
  docker start -a "$d" >"$build/dump.log" 2>&1 || { tail -n 40 "$build/dump.log" >&2; die 'the dump of the class archive failed'; }
  docker cp "$d:/tmp/kafka.jsa" "$build/ctx/cds/kafka.jsa" >/dev/null
  chmod 644 "$build/ctx/cds/kafka.jsa"
}

clean() {
  local ids
  ids=$(docker ps -aq --filter "name=^/$stage_name-" 2>/dev/null || true)
  # shellcheck disable=SC2086 # ids are words
  [[ -z $ids ]] || docker rm -f $ids >/dev/null 2>&1 || true
  docker rmi -f "$stage" >/dev/null 2>&1 || true
  docker image prune -f --filter label=ksim.image.inputs >/dev/null 2>&1 || true # our own untagged ones
  rm -rf "$build"
}

jdk=$(newest_jdk)
require
inputs=$(inputs_hash)
if [[ -z "${FORCE-}" && "$(label ksim.image.inputs)" == "$inputs" ]]; then
  say "$image is up to date"
  exit 0
fi

started=$SECONDS
build=$(mktemp -d "${TMPDIR:-/tmp}/ksim-kafka-image.XXXXXX")
root=$build/ctx/rootfs
stage_name=ksim-kafka-image-$$
stage=ksim/kafka-stage:$$
trap clean EXIT
trap 'exit 130' INT TERM
mkdir -p "$root"

make_runtime
make_kafka
make_userland
docker_build 1 "$stage"
make_format
# The archive must be made with the very files that the final image has, so the stage is built again with them.
docker_build 1 "$stage"
make_archive
docker_build 2 "$image"
say "$image is ready: $(docker image inspect -f '{{.Size}}' "$image" | awk '{printf "%.0f MB", $1/1e6}'), built in $((SECONDS - started)) s"

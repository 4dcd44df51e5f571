#!/usr/bin/env bash
# Puts the Schema Registry that tests start (see README.md) into the user's cache, from Maven Central.
# Does nothing but check when it is there. FORCE=1 fetches anyway.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's:.*<apicurio.version>\(.*\)</apicurio.version>.*:\1:p' "$here/pom.xml")
# Of the archive of that version. Change it with the version in pom.xml.
sha256=8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ksim/registry
target=$cache/$version
sums=SHA256SUMS # of every file, made from the verified archive

say() { echo "registry: $*" >&2; }
die() { say "$*"; exit 1; }

require() { # all that is missing, in one message
  local missing=()
  command -v mvn >/dev/null || missing+=('Maven (apt-get install maven)')
  command -v sha256sum >/dev/null || missing+=('sha256sum (coreutils)')
  [[ -n "$(java21)" ]] ||
    missing+=('Java 21 or newer to run it: in JAVA_HOME, PATH or below /usr/lib/jvm (Debian 13: apt-get install openjdk-21-jre-headless)')
  ((${#missing[@]} == 0)) && return
  say "cannot provide Apicurio Registry $version. Missing:"
  printf '  - %s\n' "${missing[@]}" >&2
  exit 1
}

java21() { # a java that is new enough, as internal/services looks for it
  local java major
  for java in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    [[ -x $java ]] || continue
    major=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    if [[ -n $major ]] && ((major >= 21)); then
      echo "$java"
      return
    fi
  done
}

intact() { (cd "$target" 2>/dev/null && sha256sum --check --quiet --strict "$sums") >/dev/null 2>&1; }

require
if [[ -z "${FORCE-}" ]] && intact; then
  say "Apicurio Registry $version is there, and as it was fetched"
  exit 0
fi

mkdir -p "$cache"
build=$(mktemp -d "$cache/.fetch.XXXXXX") # on the same file system, so that the move below is one step
trap 'rm -rf "$build"' EXIT
trap 'exit 130' INT TERM

say "Apicurio Registry $version from Maven Central (160 MB)"
mvn -q -B -ntp -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$build" ||
  die 'Maven could not fetch it'
archive=$build/apicurio-registry-app-$version-all.tar.gz
echo "$sha256  $archive" | sha256sum --check --quiet --strict ||
  die "the archive is not the one that this script knows. If pom.xml names another version on purpose, set sha256 to $(sha256sum "$archive" | cut -d' ' -f1)"
mkdir "$build/app"
tar -xzf "$archive" -C "$build/app" --no-same-owner
(cd "$build/app" && find . -type f ! -name "$sums" -print0 | LC_ALL=C sort -z | xargs -0 sha256sum >"$sums")
rm -rf "$target"
mv -T "$build/app" "$target" || intact # another fetch at the same time may have been first
intact || die "the files in $target do not match what was fetched"
say "Apicurio Registry $version is ready in $target"

#!/usr/bin/env bash
# Builds the examples that have to be built: all, or those that are named (java node sarama rust). Does nothing where that is
# done. One whose tool is missing is left out and said so; with CI=true that is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { echo "examples: $*" >&2; }

# newer BUILT SOURCE…: a source is newer than what was built, or that is not there.
newer() { [[ ! -e $1 ]] || [[ -n $(find "${@:2}" -type f -newer "$1" -print -quit) ]]; }

build_java() { # and the mutants that differ from it
  if newer java/target/careful.jar java/pom.xml java/src; then
    say 'java: mvn package'
    mvn -q -B -ntp -Dstyle.color=never -f java/pom.xml package
    touch java/target/careful.jar # also where Maven found nothing new in it
  fi
  if newer mutants/java/target/built mutants/java/*.java java/target/careful.jar; then
    rm -rf mutants/java/target
    javac --release 17 -d mutants/java/target -cp "java/target/classes:java/target/lib/*" mutants/java/*.java
    touch mutants/java/target/built
  fi
}

build_node() {
  if newer node/node_modules/.package-lock.json node/package-lock.json; then
    say 'node: npm ci'
    npm --prefix node ci --silent
  fi
}

build_sarama() {
  go -C sarama build -trimpath -o careful .
  touch sarama/careful
}

build_rust() { # librdkafka is built from source: about a minute
  if newer rust/target/release/careful rust/Cargo.toml rust/src; then
    say 'rust: cargo build'
    cargo build --quiet --release --manifest-path rust/Cargo.toml
    touch rust/target/release/careful
  fi
}

declare -A tools=([java]='mvn javac' [node]='npm node' [sarama]=go [rust]='cargo make cc')
for name in "${@:-java node sarama rust}"; do
  for name in $name; do
    missing=
    for tool in ${tools[$name]}; do command -v "$tool" >/dev/null || missing+=" $tool"; done
    if [[ -z $missing ]]; then
      "build_$name"
      say "$name is ready"
    elif [[ ${CI-} == true ]]; then
      say "$name needs$missing"
      exit 1
    else
      say "$name is left out: it needs$missing"
    fi
  done
done

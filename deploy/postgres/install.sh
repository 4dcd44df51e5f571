#!/usr/bin/env bash
# Makes PostgreSQL's programs available for tests, which start servers of their own: does nothing where they are there
# already, else installs Debian's package (as root), without the server of the machine's own that comes with it.
set -euo pipefail

say() { echo "postgres: $*" >&2; }
die() { say "$*"; exit 1; }

# Debian keeps the server's programs out of PATH; elsewhere they are in it.
find_initdb() {
  local found
  found=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1) || found=$(command -v initdb) || return 1
  echo "$found"
}

# postgresql-common reads this when a server package is configured: no cluster is made, so none is started.
config=/etc/postgresql-common/createcluster.d/ksim-no-cluster.conf
trap 'rm -f "$config"' EXIT

install_postgres() {
  [[ -r /etc/debian_version ]] && command -v apt-get >/dev/null ||
    die 'PostgreSQL is not installed, and this script knows only Debian and its kin. Install its server by your system'\''s means; initdb must be in PATH.'
  [[ $EUID -eq 0 ]] || die 'PostgreSQL is not installed; installing it needs root. Run: sudo make postgres'
  say 'installing postgresql'
  export DEBIAN_FRONTEND=noninteractive
  mkdir -p "${config%/*}"
  echo 'create_main_cluster = false' >"$config"
  apt-get update -qq || say 'apt-get update failed; trying with the lists that are there'
  apt-get install -y -qq --no-install-recommends postgresql >/dev/null || die 'apt-get install postgresql failed'
}

if found=$(find_initdb); then
  say "is there already: $("$found" --version)"
  exit 0
fi
install_postgres
found=$(find_initdb) || die 'the package postgresql is installed, but there is no initdb'
say "installed: $("$found" --version)"

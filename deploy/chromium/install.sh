#!/usr/bin/env bash
# Makes a Chromium available for the tests that look at report.html in a browser: does nothing where there is one
# already, else installs Debian's package (as root). Bounded: it ends with a browser or with an error that says why not.
set -euo pipefail

say() { echo "chromium: $*" >&2; }
die() { say "$*"; exit 1; }

find_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

install_chromium() {
  [[ -r /etc/debian_version ]] && command -v apt-get >/dev/null ||
    die 'there is no Chromium, and this script knows only Debian and its kin. Install it by your system'\''s means; chromium must be in PATH.'
  [[ $EUID -eq 0 ]] || die 'there is no Chromium; installing it needs root. Run: sudo make chromium'
  say 'installing chromium'
  export DEBIAN_FRONTEND=noninteractive
  timeout 180 apt-get update -qq || say 'apt-get update failed; trying with the lists that are there'
  timeout 600 apt-get install -y -qq --no-install-recommends chromium >/dev/null || die 'apt-get install chromium failed'
}

if found=$(find_chromium); then
  say "is there already: $found"
  exit 0
fi
install_chromium
found=$(find_chromium) || die 'the package chromium is installed, but there is no such program'
say "installed: $found"

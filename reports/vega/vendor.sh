#!/usr/bin/env bash
# Fetches the programs that draw the charts of report.html, and the one that its test asks about accessibility, from
# the npm registry, with their licences. Run it after changing a version; what it writes is checked in, so builds
# and tests need neither npm nor a network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

packages=(vega@6.4.0 vega-lite@6.5.0 vega-embed@7.3.0 axe-core@4.14.1)
licences=../../THIRD_PARTY

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --no-save --ignore-scripts --no-audit --no-fund --silent "${packages[@]}"

for name in vega vega-lite vega-embed; do
  # Without the line that asks a browser's debugger for another file.
  sed '/^\/\/# sourceMappingURL=/d' "$work/node_modules/$name/build/$name.min.js" >"$name.min.js"
done
cp "$work/node_modules/axe-core/axe.min.js" ../testdata/axe.min.js

# The licences of a package, one after the other, under its name and version.
licence() {
  local dir=$work/node_modules/$1 file
  node -p 'const p = require(process.argv[1]); `==== ${p.name} ${p.version} (${p.license})\n`' "$dir/package.json"
  for file in "$dir"/LICEN[CS]E* "$dir"/UNLICENSE*; do
    [[ -f $file ]] && tr -d '\r' <"$file" | sed 's/[[:space:]]*$//' && echo
  done
  return 0
}

# What the bundles hold beside Vega's own packages; the rest of what npm installs serves command lines.
held='^(vega.*|d3-.*|delaunator|fast-json-patch|internmap|json-stringify-pretty-compact|robust-predicates|semver|topojson-client|tslib)$'
mkdir -p "$licences"
for name in $(ls "$work/node_modules" | grep -E "$held" | LC_ALL=C sort); do licence "$name"; done >"$licences/vega.txt"
licence axe-core >"$licences/axe-core.txt"

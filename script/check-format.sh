#!/bin/bash
# check-format.sh: fails when a Go file is not as gofmt writes it.
set -euo pipefail
cd "$(dirname "$0")/.."
. script/manners.sh

mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.go' | while read -r file; do [ ! -e "$file" ] || echo "$file"; done)
[ ${#files[@]} -gt 0 ] || exit 0
untidy=$(gofmt -l "${files[@]}")
[ -z "$untidy" ] || fail "not formatted" "$(tr '\n' ' ' <<<"$untidy")" "repair it with: gofmt -w $(tr '\n' ' ' <<<"$untidy")"

#!/bin/bash
# fuzz.sh [TIME]: fuzzes every target of the repository for TIME each (default 10s).
set -euo pipefail
cd "$(dirname "$0")/.."
. script/manners.sh

time=${1:-10s}
while IFS=: read -r file target; do
	step "$(dirname "$file") $target for $time"
	go test -vet=off -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$(dirname "$file")"
done < <(git ls-files --cached --others --exclude-standard '*_test.go' |
	xargs -r grep -Eo '^func Fuzz[A-Za-z0-9_]+' | sed 's/func //' | sort)

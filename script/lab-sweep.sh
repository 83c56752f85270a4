#!/bin/bash
# lab-sweep.sh: removes the test worlds that killed test runs left behind: their
# processes, network namespaces, rules, mounts and directories. Worlds in use stay.
set -euo pipefail
cd "$(dirname "$0")/.."
. script/manners.sh

as_root env PATH="$PATH" go run -buildvcs=false ./internal/lab/sweep

#!/bin/bash
# test.sh: all tests, after installing what they need. No test that needs an
# engine may skip.
set -euo pipefail
cd "$(dirname "$0")/.."
. script/manners.sh

export HAVRE_NEED=${HAVRE_NEED:-docker,browser}
stage=setup
trap '[ $? = 0 ] || echo "tests failed in \"$stage\" after ${SECONDS}s" >&2' EXIT

script/setup.sh base engine test
spent="setup ${SECONDS}s"
for stage in check docker-test; do
	begun=$SECONDS
	step "make $stage"
	make --no-print-directory "$stage"
	spent+=", $stage $((SECONDS - begun))s"
done
step "all tests passed in ${SECONDS}s ($spent)"

#!/bin/bash
# demo-test.sh: what the README promises of its first command, on this machine
# and its own engine. For machines that have no Havre yet, as CI's.
set -euo pipefail
cd "$(dirname "$0")/.."
. script/manners.sh

[ ! -e /var/lib/havre ] || fail "there is a Havre already" "/var/lib/havre exists" "make demo-down, then again"

swarm() { host_docker info --format '{{.Swarm.LocalNodeState}}'; }

step "busy ports are named, with a way out"
perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 20025, Listen => 1) or die $!; sleep 60' &
holder=$!
trap 'kill $holder 2>/dev/null || true' EXIT
for _ in $(seq 50); do
	[ -z "$(ss -Hltn 'sport = :20025')" ] || break
	sleep 0.1
done
if said=$(make --no-print-directory demo OFFSET=20000 2>&1); then
	fail "the demo went over a busy port" "20025 is taken" "see script/demo.sh"
fi
for words in "20025 by perl" "OFFSET=30000"; do
	grep -q "$words" <<<"$said" || fail "a busy port is not explained" "$said" "see script/demo.sh"
done
kill $holder
swarm_before=$(swarm) # an engine that was stopped may come up with one; Havre has not run yet

step "make demo, ports moved"
make --no-print-directory demo OFFSET=10000 | tee bin/demo-test.log
for line in 'https://mail.localhost:10443/, with a certificate that the root signed' 'SMTP, IMAP and ManageSieve have that certificate, too' '^mail.roundcube .*[0-9]' 'To: demo@example.org' 'Subject: .*PROBLEM outage/prod.outage.app' 'removed service app'; do
	grep -q "$line" bin/demo-test.log || fail "the demo does not show all" "there is no \"$line\" in it" "see script/demo.sh"
done
rm bin/demo-test.log
step "make demo again changes nothing"
before=$(host_docker ps --quiet --no-trunc --filter label=havre.kind=service | sort)
make --no-print-directory demo OFFSET=10000
[ "$before" = "$(host_docker ps --quiet --no-trunc --filter label=havre.kind=service | sort)" ] ||
	fail "the second demo replaced containers" "nothing had changed" "see what differs with: bin/havre history mail"

step "make demo-down, twice"
make --no-print-directory demo-down
make --no-print-directory demo-down
[ "$swarm_before" = "$(swarm)" ] || fail "demo-down changed the swarm" "it was $swarm_before and is $(swarm)" "see leaveSwarm in internal/guard/swarm.go"
[ ! -e /var/lib/havre ] || fail "demo-down left data" "/var/lib/havre exists" "see script/demo-down.sh"
echo "1 passed, 0 failed"

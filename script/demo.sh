#!/bin/bash
# demo.sh: the mail server of examples/mail on this machine, proved. It may be
# run again. OFFSET=10000 moves its ports.
set -euo pipefail
cd "$(dirname "$0")/.."
. script/manners.sh

data=/var/lib/havre
offset=${OFFSET:-0}
account=demo@example.org
havre=$PWD/bin/havre

[[ $offset =~ ^(0|[1-9][0-9]{0,4})$ && $((offset + 7080)) -lt 65536 ]] ||
	fail "bad OFFSET $offset" "it is a number that is added to each port" "try: make demo OFFSET=10000"
api=$((7080 + offset))

# holder PORT: who listens there, unless it is Havre itself.
holder() {
	as_root ss -Hltnp "sport = :$1" |
		sed -n '/"havre"/d; s/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p; t; s/.*/somebody/p' | sed -n 1p
}

check_ports() {
	local port who busy=()
	for port in $(sed -n 's/.*"external":[[:space:]]*\([0-9]*\).*/\1/p' examples/mail/mail.json) 7080; do
		who=$(holder $((port + offset)))
		[ -z "$who" ] || busy+=("$((port + offset)) by $who")
	done
	[ ${#busy[@]} = 0 ] ||
		fail "ports are taken" "$(printf '%s, ' "${busy[@]}" | sed 's/, $//')" "end those, or move the demo's ports: make demo OFFSET=$((offset + 10000))"
}

# What is here before Havre is not for demo-down to remove.
remember_the_swarm() {
	as_root install -d -m 0711 "$data"
	if [ "$(host_docker info --format '{{.Swarm.LocalNodeState}}')" = inactive ]; then
		as_root touch "$data/swarm-is-ours"
	fi
}

set_password() {
	local verb=add
	if "$havre" exec mail -- mail-account ls </dev/null | grep -qFx "$account"; then verb=passwd; fi
	"$havre" exec -i mail -- mail-account "$verb" "$account" <<<"$password"
}

check_ports
remember_the_swarm

step "starting Havre, data in $data"
as_root "$havre" up --detach --data "$data" --listen "127.0.0.1:$api"

step "making the images from Debian packages; the first time takes some minutes"
"$havre" image bootstrap debian:bookworm
"$havre" image build -t mildred/exim-dovecot-mail examples/mail/exim-dovecot-mail
"$havre" image build -t mildred/roundcube examples/mail/roundcube

step "applying examples/mail/mail.json"
"$havre" apply -f examples/mail/mail.json --yes --port-offset "$offset"

step "adding the account $account"
password=$(od -An -N9 -tx1 /dev/urandom | tr -d ' \n')
set_password

step "proving that it works"
bin/prove -host 127.0.0.1 -offset "$offset" -user "$account" <<<"$password"

cat <<END

The mail server runs, and will again after a crash or a reboot of what it needs.

  Webmail     https://localhost:$((4443 + offset))/
  SMTP        localhost:$((587 + offset)) (STARTTLS), localhost:$((465 + offset)) (TLS)
  IMAP        localhost:$((993 + offset)) (TLS)
  Account     $account
  Password    $password
  Havre       http://127.0.0.1:$api/

Try next (havre is bin/havre):
  havre ps                                 what runs
  havre logs -f mail                       what it says
  havre exec mail -- mail-account ls       its accounts
  havre plan -f examples/mail/mail.json    what applying it again would change
  havre why roundcube                      why something does not run
  make demo-down                           remove all of it
END

#!/bin/bash
# demo.sh: the mail server of examples/mail on this machine, proved; its webmail
# by name, and an alert by mail. It may be run again. OFFSET=10000 moves its ports.
set -euo pipefail
cd "$(dirname "$0")/.."
. script/manners.sh

data=/var/lib/havre
offset=${OFFSET:-0}
account=demo@example.org
havre=$PWD/bin/havre
name=mail.localhost # as in examples/mail/compose.yml
root=bin/havre-root.pem
log=bin/demo.log
outage=prod.outage.app # what breaks, to be told of

[[ $offset =~ ^(0|[1-9][0-9]{0,4})$ && $((offset + 7080)) -lt 65536 ]] ||
	fail "bad OFFSET $offset" "it is a number that is added to each port" "try: make demo OFFSET=10000"
api=$((7080 + offset)) http=$((80 + offset)) https=$((443 + offset))

# holder PORT: who listens there, unless it is Havre itself.
holder() {
	as_root ss -Hltnp "sport = :$1" |
		sed -n '/"havre"/d; s/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p; t; s/.*/somebody/p' | sed -n 1p
}

check_ports() {
	local port who busy=()
	for port in $(sed -n 's/.*"external":[[:space:]]*\([0-9]*\).*/\1/p' examples/mail/mail.json) 80 443 7080; do
		who=$(holder $((port + offset)))
		[ -z "$who" ] || busy+=("$((port + offset)) by $who")
	done
	[ ${#busy[@]} = 0 ] ||
		fail "ports are taken" "$(printf '%s, ' "${busy[@]}" | sed 's/, $//')" "end those, or move the demo's ports: make demo OFFSET=$((offset + 10000))"
}

# tell_by_mail has alerts mailed to the account. Who has channels already keeps
# them, and their demo is over here.
tell_by_mail() {
	local file=$data/config/server.json server="127.0.0.1:$((25 + offset))" alert now='{}'
	alert=$(tr -d '\n\t' <<-END
		"alert": {
			"channels": [{"name": "demo", "mail": {"server": "$server", "tls": "none", "from": "havre@havre.example", "to": ["$account"]}}],
			"rules": [
				{"name": "outage", "when": "down", "service": "$outage", "for": "1s"},
				{"name": "service-down", "when": "down", "for": "2m"},
				{"name": "crash-loop", "when": "crash-loop"},
				{"name": "certificate", "when": "certificate", "days": 7},
				{"name": "disk", "when": "disk", "percent": 90}
			]}
	END
	)
	if as_root test -s "$file"; then now=$(as_root cat "$file"); fi
	if [[ $now == *'"alert"'* ]]; then
		[[ $now == *"\"$server\""* && $now == *"\"$outage\""* ]] ||
			fail "Havre tells its alerts to others" "see \"alert\" in $file" "if all of it is of a demo: make demo-down, then again"
		return
	fi
	now=${now#*\{}
	[[ $now =~ ^[[:space:]]*\}[[:space:]]*$ ]] || now=", $now"
	as_root install -d -m 0755 "$data/config"
	printf '{%s%s\n' "$alert" "$now" | as_root tee "$file.new" >/dev/null
	as_root mv "$file.new" "$file"
	# What was up already counts it from its next start; services go on.
	as_root "$havre" down --data "$data" >/dev/null
}

# apply_mail applies the mail server as the seed wrote it, if it is not there, and
# then with the name and its certificate.
apply_mail() {
	local files=(examples/mail/compose.yml)
	if ! "$havre" plan -f examples/mail/compose.yml --port-offset "$offset" --exit-code >/dev/null; then
		files=(examples/mail/mail.json examples/mail/compose.yml)
	fi
	for file in "${files[@]}"; do
		step "applying $file"
		"$havre" apply -f "$file" --yes --port-offset "$offset"
	done
	# A demo that was cut short left it; it is told of anew only when it was over.
	if "$havre" ps outage/ -o name 2>/dev/null | grep -q .; then "$havre" rm outage/ --yes; fi
}

# quietly COMMAND… keeps what it says in a file, but for the last line. A failure
# shows the end of it.
quietly() {
	if ! "$@" >"$log" 2>&1; then
		tail -n 25 "$log" >&2
		fail "cannot go on" "the above is the end of what was said by: ${*/#"$havre"/havre}" "all of it is in $log; mend it, then make demo again"
	fi
	echo "  $(tail -n 1 "$log")"
}

make_images() {
	local image
	quietly "$havre" image bootstrap debian:bookworm
	for image in exim-dovecot-mail roundcube; do
		quietly "$havre" image build -t "mildred/$image" "examples/mail/$image"
	done
}

prove() { bin/prove -host 127.0.0.1 -offset "$offset" -user "$account" "$@" <<<"$password"; }

# watch_some_traffic shows havre top while somebody who trusts the root asks.
watch_some_traffic() {
	curl -sS --fail --cacert "$root" --resolve "$name:$https:127.0.0.1" --rate 50/s -o /dev/null "https://$name:$https/favicon.ico?[1-150]" &
	"$havre" top --once
	wait $!
}

# break_one applies a service that ends at once, again and again, and waits for
# the mail that tells of it.
break_one() {
	local since
	since=$(date +%s)
	printf 'services: {app: {image: "debian:bookworm", command: [sh, -c, "echo out of luck; exit 3"]}}\n' |
		"$havre" apply -f - -p outage --yes >/dev/null 2>&1 || true # it is meant to fail
	"$havre" why outage.app || true
	step "the mail that tells of it"
	prove -told "PROBLEM outage/$outage" -since "$since"
	"$havre" rm outage/ --yes
}

set_password() {
	local verb=add
	if "$havre" exec mail -- mail-account ls </dev/null | grep -qFx "$account"; then verb=passwd; fi
	"$havre" exec -i mail -- mail-account "$verb" "$account" <<<"$password"
}

check_ports
tell_by_mail

step "starting Havre, data in $data"
as_root "$havre" up --detach --data "$data" --listen "127.0.0.1:$api" --http-port "$http" --https-port "$https"

step "making the images from Debian packages; some minutes the first time (see $log)"
make_images
apply_mail

step "adding the account $account"
password=$(od -An -N9 -tx1 /dev/urandom | tr -d ' \n')
set_password

step "proving that it works"
curl -sS --fail "http://127.0.0.1:$api/v1/authority" >"$root"
prove -front "$name:$https" -root "$root"

step "what runs uses, while somebody asks (havre top --once)"
watch_some_traffic

step "breaking a service (havre why outage.app)"
break_one

cat <<END

The mail server runs, and will again after a crash or a reboot of what it needs.

  Webmail     https://$name$([ "$https" = 443 ] || echo ":$https")/, certificate by Havre's own authority
              https://localhost:$((4443 + offset))/, the same with a certificate that it made itself
  SMTP        localhost:$((587 + offset)) (STARTTLS), localhost:$((465 + offset)) (TLS)
  IMAP        localhost:$((993 + offset)) (TLS)
  Account     $account
  Password    $password
  Alerts      by mail to $account; the first is in its inbox
  Root        $root, for a browser that shall trust the webmail
  Havre       http://127.0.0.1:$api/

Try next (havre is bin/havre):
  havre ps                                 what runs
  havre top                                what it uses, live
  havre alert ls                           what is wrong, and is told
  havre logs -f mail                       what it says
  havre exec mail -- mail-account ls       its accounts
  havre plan -f examples/mail/compose.yml$([ "$offset" = 0 ] || echo " --port-offset $offset")  what applying it again would change
  havre why roundcube                      why something does not run
  make demo-down                           remove all of it
END

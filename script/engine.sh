#!/bin/bash
# engine.sh: starts Docker Engine when none runs, by systemd or else by hand. A
# running one is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
. script/manners.sh

least=1.41
log=/var/log/havre-dockerd.log
note=/var/run/havre-dockerd.pid

answers() { host_docker version --format '{{.Server.APIVersion}}' >/dev/null 2>&1; }

# runs PIDFILE NAME: whether the file names a living process of that name. A
# zombie counts as dead here, though not for dockerd.
runs() {
	local pid
	pid=$(as_root cat "$1" 2>/dev/null) || return 1
	[ -n "$pid" ] && grep -qsx "Name:[[:space:]]*$2" "/proc/$pid/status" && ! grep -qs '^State:[[:space:]]*Z' "/proc/$pid/status"
}

forget_the_dead() {
	local file name
	while read -r file name; do
		if as_root test -e "$file" && ! runs "$file" "$name"; then
			step "removing $file: the $name that it names has ended"
			as_root rm -f "$file"
		fi
	done <<-END
		/var/run/docker.pid dockerd
		/var/run/docker/containerd/containerd.pid containerd
	END
}

start() {
	if [ -d /run/systemd/system ]; then
		step "starting docker.service"
		as_root systemctl start docker.service ||
			fail "cannot start Docker Engine" "systemctl failed" "see: journalctl -u docker.service"
	elif ! runs /var/run/docker.pid dockerd; then
		forget_the_dead
		step "starting dockerd by hand, as no init system runs here; its log is $log"
		# shellcheck disable=SC2016 # the inner shell expands
		as_root setsid sh -c 'exec dockerd >>"$1" 2>&1 </dev/null & echo $! >"$2"' sh "$log" "$note"
	fi
}

wait_for_it() {
	for _ in $(seq 300); do
		if answers; then return; fi
		sleep 0.2
	done
	as_root tail -n 15 "$log" >&2 || true
	fail "Docker Engine does not answer" "it had a minute; its last words, if any, are above" "repair it until \"docker version\" works, then run this again"
}

command -v dockerd >/dev/null || fail "cannot start Docker Engine" "there is no dockerd" "install it with: script/setup.sh engine"
if ! answers; then
	start
	wait_for_it
fi
read -r api version < <(host_docker version --format '{{.Server.APIVersion}} {{.Server.Version}}')
if [ "$(printf '%s\n' "$least" "$api" | sort -V | head -n 1)" != "$least" ]; then
	fail "Docker Engine $version is too old" "it speaks API $api, Havre needs $least" "install Engine 20.10 or newer"
fi
step "Docker Engine $version runs (API $api)"

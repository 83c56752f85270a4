# How the scripts here speak and act; they read this file. It does nothing by itself.
# shellcheck shell=bash

# Debian keeps these from the path of ordinary users.
PATH=$PATH:/usr/sbin:/sbin

step() { printf '==> %s\n' "$*"; }

# fail WHAT WHY REMEDY
fail() {
	printf '%s: %s\n%s\n' "$1" "$2" "$3" >&2
	exit 1
}

# as_root COMMAND…
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		fail "cannot run $1" "it needs root, you are $(id -un), and there is no sudo" "do it as root: su -c '$0'"
	fi
}

# The host's own engine, whatever the person's docker context says; a test has
# another one.
engine_socket=unix://${HAVRE_ENGINE:-/var/run/docker.sock}

host_docker() { as_root docker --host "$engine_socket" "$@"; }

#!/bin/bash
# setup.sh WORD…: installs what is missing on a Debian machine that has Go and apt.
#   engine  Docker Engine and what it and the test worlds need of the system
#   base    what building Havre and bootstrapping base images needs
#   test    what the tests need besides: a C compiler for the race detector,
#           systemd's own check of units, AppArmor's of profiles, a browser for the status page, and package
#           lists with a registry
# What is there already is left alone, from wherever it came.
set -euo pipefail
cd "$(dirname "$0")/.."
. script/manners.sh

missing=()

# need PACKAGE COMMAND-OR-FILE…
need() {
	local package=$1 thing
	shift
	for thing in "$@"; do
		if ! command -v "$thing" >/dev/null && ! [ -e "$thing" ]; then
			missing+=("$package")
			return
		fi
	done
}

need_engine() {
	need docker.io dockerd docker containerd runc
	need iptables iptables
	need iproute2 ip ss
	need util-linux nsenter unshare setsid
	need mount mount umount
	need ca-certificates /etc/ssl/certs/ca-certificates.crt
	# With AppArmor in the kernel the engine cannot start a container without its parser.
	if grep -qs Y /sys/module/apparmor/parameters/enabled; then need apparmor apparmor_parser; fi
	if ! has_cgroups; then need cgroupfs-mount cgroupfs-mount; fi
}

has_cgroups() { grep -q ' /sys/fs/cgroup' /proc/self/mountinfo; }

# need_go: Go as go.mod asks for, or one that fetches that by itself, as all do
# since 1.21. Asked outside of the module, whose go.mod an older one cannot read.
need_go() {
	local least have why="there is no go command"
	least=$(sed -n 's/^go //p' go.mod)
	if command -v go >/dev/null; then
		have=$(cd / && go env GOVERSION)
		have=${have#go}
		if no_older "$have" "$least" || { no_older "$have" 1.21 && [ "$(cd / && go env GOTOOLCHAIN)" != local ]; }; then return; fi
		why="$(command -v go) is Go $have"
	fi
	fail "cannot build Havre" "$why" "install Go $least or newer and put it first on the PATH: https://go.dev/dl/"
}

no_older() { [ "$(printf '%s\n' "$2" "${1%% *}" | sort -V | head -n 1)" = "$2" ]; }

need_base() {
	need_go
	need make make
	need git git
	need curl curl
	need ca-certificates /etc/ssl/certs/ca-certificates.crt
	need iproute2 ip ss
	need mmdebstrap mmdebstrap
	# Who is not root puts a base image together as other users.
	if [ "$(id -u)" != 0 ]; then need uidmap newuidmap newgidmap; fi
	need debian-archive-keyring /usr/share/keyrings/debian-archive-keyring.gpg
}

need_test() {
	need gcc gcc
	need libc6-dev /usr/include/stdio.h
	need systemd systemd-analyze
	need apparmor apparmor_parser
	need chromium chromium
	# The tests take a registry out of its package: installed, it would start one.
	if ! command -v docker-registry >/dev/null && ! apt-cache show docker-registry >/dev/null 2>&1; then
		step "updating the package lists"
		patiently apt update || fail "cannot update the package lists" "apt-get said the above" "repair it, then run this again"
	fi
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@"; }

# Waits while another apt works: only a part of its locks can be waited for by apt itself.
patiently() {
	local said
	for _ in $(seq 24); do
		if said=$("$@" 2>&1 </dev/null); then return 0; fi
		if ! grep -q -e 'Could not get lock' -e 'Unable to acquire' -e 'Unable to lock' <<<"$said"; then break; fi
		sleep 5
	done
	printf '%s\n' "$said" | tail -n 20 >&2
	return 1
}

# known: whether the package lists offer everything that is missing.
known() {
	local candidates
	candidates=$(apt-cache policy "${missing[@]}" 2>/dev/null | grep 'Candidate:' || true)
	[ "$(wc -l <<<"$candidates")" = ${#missing[@]} ] && ! grep -q '(none)' <<<"$candidates"
}

put_in() {
	local -a how=(apt install --yes --no-install-recommends "${missing[@]}")
	step "installing ${missing[*]}"
	# Lists that are too old name files that the mirror no longer has.
	if known && patiently "${how[@]}" 2>/dev/null; then return; fi
	step "updating the package lists"
	patiently apt update || fail "cannot update the package lists" "apt-get said the above" "repair it, then run this again"
	patiently "${how[@]}" || fail "cannot install ${missing[*]}" "apt-get said the above" "install them yourself, then run this again"
}

for word in "$@"; do
	case $word in
		engine | base | test) "need_$word" ;;
		*) fail "unknown word $word" "setup.sh knows engine, base and test" "see the top of $0" ;;
	esac
done
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u | sed '/^$/d')

if [ ${#missing[@]} -gt 0 ]; then
	command -v apt-get >/dev/null ||
		fail "cannot install ${missing[*]}" "this machine has no apt-get" "install what these Debian packages hold, then run this again"
	put_in
fi

if [[ " $* " == *" engine "* ]] && ! has_cgroups; then
	step "mounting the control groups"
	as_root cgroupfs-mount
fi

#!/bin/bash
# demo-down.sh: removes everything that Havre made on this machine and says what
# stays. It may be run again.
set -euo pipefail
cd "$(dirname "$0")/.."
. script/manners.sh

data=${HAVRE_DATA:-/var/lib/havre} # tests remove a Havre of their own

# unused_users names Havre's system users, unless another Havre on this machine
# runs as them.
unused_users() {
	local user id
	for user in havre havre-ingress havre-portal; do
		id=$(id -u $user 2>/dev/null) || continue
		# Another Havre may have no portal at the moment.
		if [ $user = havre-portal ] && id -u havre-ingress >/dev/null 2>&1; then continue; fi
		grep -qs "^Uid:[[:space:]]*${id}[[:space:]]" /proc/[0-9]*/status || echo "user $user"
	done
}

# leftovers names what purge should have removed.
leftovers() {
	local kind
	for kind in service container network config secret; do
		local -a all=()
		if [ $kind = container ]; then all=(--all); fi
		host_docker $kind ls "${all[@]}" --quiet --filter label=havre.instance 2>/dev/null | sed "s/^/$kind /"
	done
	host_docker image ls --format '{{.Repository}}:{{.Tag}}' 'havre.invalid/*/*' | sed 's/^/image /'
	{ as_root iptables -w -S && as_root iptables -w -t nat -S; } | grep -i havre | sed 's/^/rule /' || true
	cut -d ' ' -f 5 /proc/self/mountinfo | sed -n "\\#^$data\\(/\\|\$\\)#s#^#mount #p"
	unused_users
	[ ! -e "$data" ] || echo "directory $data"
}

purge() { as_root bin/havre down --purge --yes --data "$data"; }

if as_root test -e "$data"; then
	step "removing all that Havre made"
	# After a reboot nothing runs, and only the guard knows what is Havre's.
	if ! purge; then
		step "starting Havre, to ask it what it made"
		script/engine.sh
		as_root bin/havre up --detach --data "$data"
		purge
	fi
else
	step "there is no Havre in $data"
fi

state=$(host_docker info --format '{{.Swarm.LocalNodeState}}' 2>/dev/null || true)

rm -f bin/havre-root.pem bin/demo.log

left=$(leftovers)
[ -z "$left" ] || fail "not everything is gone" "$(tr '\n' ';' <<<"$left")" "run make demo-down again; if it stays, see $data/log"

echo
echo "Gone: services, containers, networks, images, volumes, users, firewall rules and data of Havre."
echo "What stays:"
echo "  the Debian packages that were installed (docker.io, mmdebstrap, gcc, …)"
if [ -n "$state" ]; then echo "  Docker Engine, running"; fi
if [ "$state" = active ]; then echo "  a swarm, which Havre did not make or which is used by others"; fi
echo "  what was built: bin/, and Go's caches"

#!/bin/bash
# deb.sh [DIRECTORY [ARCHITECTURE…]]: Debian packages of Havre, each with the
# portal of its own architecture inside. Default: bin, amd64 and arm64.
set -euo pipefail
cd "$(dirname "$0")/.."
. script/manners.sh

command -v dpkg-deb >/dev/null || fail "cannot make packages" "there is no dpkg-deb" "apt-get install dpkg"
out=${1:-bin}
mkdir -p "$out"
out=$(realpath "$out")
arches=("${@:2}")
[ ${#arches[@]} -gt 0 ] || arches=(amd64 arm64)

describe=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH

# debian_version v0.1.0-3-gabc: a version begins with a digit, and what comes
# after a release sorts above it.
debian_version() {
	local v=${1#v}
	[[ $v == [0-9]*.* ]] || v=0.0.0-g$v
	sed 's/-/+/; s/-/./g' <<<"$v"
}

# program ARCHITECTURE PACKAGE OUT [FLAG…]
program() {
	CGO_ENABLED=0 GOOS=linux GOARCH=$1 go build -buildvcs=false -trimpath -o "$3" "${@:4}" "$2"
}

build() {
	local arch=$1 root=$work/$1/root
	case $arch in
	amd64 | arm64) ;;
	*) fail "no package for $arch" "only amd64 and arm64 are known" "name one of these" ;;
	esac
	install -d "$root"/{DEBIAN,usr/bin,usr/share/doc/havre,lib/systemd/system}
	program "$arch" ./cmd/havre-portal "$work/$arch/portal" -ldflags '-s -w'
	# The portal in the working tree is this machine's, and others may build with it.
	printf '{"Replace":{"%s":"%s"}}\n' "$PWD/internal/portal/embedded/havre-portal" "$work/$arch/portal" >"$work/$arch/overlay.json"
	program "$arch" ./cmd/havre "$root/usr/bin/havre" -overlay "$work/$arch/overlay.json" -ldflags "-s -w -X havre/internal/cli.version=$describe"
	chmod 0755 "$root/usr/bin/havre"
	{
		echo "# Of the package havre. Put changes into: systemctl edit havre"
		sed '1d; s,@PROGRAM@,/usr/bin/havre,; s,@DATA@,/var/lib/havre,' internal/role/havre.service
	} >"$root/lib/systemd/system/havre.service"
	install -m 0644 LICENSE "$root/usr/share/doc/havre/copyright"
	install -m 0755 script/deb/{postinst,prerm,postrm} "$root/DEBIAN/"
	cat >"$root/DEBIAN/control" <<-END
		Package: havre
		Version: $version
		Architecture: $arch
		Maintainer: Havre <havre@localhost>
		Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f 1)
		Section: admin
		Priority: optional
		Depends: iptables, passwd
		Recommends: docker.io (>= 20.10) | docker-ce (>= 5:20.10), mmdebstrap, uidmap
		Description: private container platform on Docker Engine
		 Havre runs the services that one declares in Compose files, always:
		 ports, domains, volumes, updates without a gap. Projects cannot reach
		 each other, and nobody but its guard has Docker's socket.
	END
	(cd "$root" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
	find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
	dpkg-deb --root-owner-group -Zxz -z3 --build "$root" "$out/havre_${version}_$arch.deb" >/dev/null
	step "$out/havre_${version}_$arch.deb"
}

umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(debian_version "$describe")
for arch in "${arches[@]}"; do build "$arch"; done

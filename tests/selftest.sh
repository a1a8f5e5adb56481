#!/usr/bin/env bash
# Runs the executor's self-test in each mode that this machine lets it have.
#
# Usage: tests/selftest.sh PROGRAM [ARGUMENTS of selftest]
# Embedded mode: without capabilities. System mode, as root: as an account that
# holds CAP_NET_RAW and nothing else. Makes a directory below /tmp, and removes it.
set -euo pipefail
cd "$(dirname "$0")/.."

program=$(realpath "${1:?usage: tests/selftest.sh PROGRAM [ARGUMENTS]}")
shift
place=$(TMPDIR=/tmp mktemp -d)
trap 'rm -rf "$place"' EXIT
# Every account may go there, where the way to the program may be closed.
chmod 711 "$place"
install -m 755 "$program" "$place/mantlet-executor"
cp -r sandbox-profiles/tools "$place/tools.d"
status=0

try() {
  local mode=$1 owner=$2
  shift 2
  install -d -m 700 -o "$owner" "$place/$mode"
  cat >"$place/$mode.toml" <<END
mode = "$mode"
profiles = ["$place/tools.d"]
runs_dir = "$place/$mode"
[peers]
uids = [0]
[security]
allowed_networks = ["127.0.0.0/8"]
END
  echo "== $mode mode"
  "$@" || status=$?
}

selftest=("$place/mantlet-executor" selftest --config)
if [ "$(id -u)" -eq 0 ]; then
  as=(setpriv --reuid=daemon --regid=daemon --clear-groups)
  none=(--inh-caps=-all --bounding-set=-all)
  raw=(--inh-caps=-all,+net_raw --ambient-caps=-all,+net_raw --bounding-set=-all,+net_raw)
  try embedded daemon "${as[@]}" "${none[@]}" "${selftest[@]}" "$place/embedded.toml" "$@"
  try system daemon "${as[@]}" "${raw[@]}" "${selftest[@]}" "$place/system.toml" "$@"
else
  try embedded "$(id -u)" "${selftest[@]}" "$place/embedded.toml" "$@"
  echo "SKIP system mode: it needs root, to lend an account CAP_NET_RAW"
fi
exit $status

#!/usr/bin/env bash
# Runs the fuzz targets, each for a bounded time or a number of executions.
#
# Usage: tests/fuzz/run.sh [TARGET ...]      all targets, or these
#        tests/fuzz/run.sh --corpus          makes the checked-in seeds anew
# FUZZ_SECONDS (60): how long each target runs. FUZZ_RUNS: how often, instead.
# FUZZ_JOBS (2): how many targets run at a time.
# Fails on a crash, a broken promise, an input that takes too long or too much
# memory, and on a run that fuzzed next to nothing. Needs a stable Rust and a C++
# compiler. What is found stays in the target directory.
set -euo pipefail
cd "$(dirname "$0")/../.."

mkdir -p "${CARGO_TARGET_DIR:-target}/fuzz"
out=$(realpath "${CARGO_TARGET_DIR:-target}")/fuzz
export CARGO_TARGET_DIR=$out
seconds=${FUZZ_SECONDS:-60} runs=${FUZZ_RUNS:-} jobs=${FUZZ_JOBS:-2}
corpus=$PWD/tests/fuzz/corpus
cases=$PWD/../shared/reference/cases/nmap.jsonl
# Fewest edges that a run may end with: below, nothing is instrumented.
edges_min=300

say() { printf '%s\n' "$*"; }
die() { say "fuzz: $*" >&2; exit 1; }

# Longest input in bytes, and fewest executions a second on a busy machine.
length_max() { case $1 in frame) echo 131080 ;; profile) echo 16384 ;; *) echo 6144 ;; esac; }
rate_min() { case $1 in frame) echo 500 ;; profile) echo 5 ;; *) echo 50 ;; esac; }

build() {
  (cd tests/fuzz && ${CARGO:-cargo} build --quiet --locked --release --bins)
  bin=$(find "$out" -maxdepth 3 -path '*/release/seeds' -printf '%T@ %h\n' | sort -n | tail -n 1)
  bin=${bin#* }
  "$bin/seeds" dictionaries "$out/dictionaries"
}

# Runs one target; its log and its findings stay in $out.
fuzz() {
  local target=$1 log=$out/$1.log begun=$SECONDS bound
  mkdir -p "$out/found/$target" "$out/crashes"
  if [ -n "$runs" ]; then bound=-runs=$runs; else bound=-max_total_time=$seconds; fi
  local options=("$bound" -max_len="$(length_max "$target")" -timeout=10 -rss_limit_mb=1024
    -print_final_stats=1 -artifact_prefix="$out/crashes/$target-")
  [ ! -e "$out/dictionaries/$target.dict" ] || options+=(-dict="$out/dictionaries/$target.dict")
  if ! "$bin/$target" "${options[@]}" "$out/found/$target" "$corpus/$target" </dev/null >"$log" 2>&1; then
    grep -av '^#' "$log" | tail -n 60 >&2
    die "$target failed; docs/TESTING.md says what to do. Reproduce: $bin/$target $out/crashes/$target-..."
  fi
  local executions edges least
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  edges=$(grep -ao 'cov: [0-9]*' "$log" | tail -n 1)
  edges=${edges#cov: }
  if [ -n "$runs" ]; then least=$runs; else least=$(($(rate_min "$target") * seconds)); fi
  say "fuzz: $target: ${executions:-0} executions in $((SECONDS - begun)) s, ${edges:-0} edges"
  [ "${executions:-0}" -ge "$least" ] || die "$target: at least $least executions expected"
  [ "${edges:-0}" -ge "$edges_min" ] || die "$target: at least $edges_min edges expected"
}

# Seeds from profiles, examples and reference cases, reduced to a small set that
# covers the same code. What was found stays out: it has no bound.
make_corpus() {
  local target seeds=$out/seeds args=()
  rm -rf "$seeds"
  [ ! -e "$cases" ] || args=("$cases")
  "$bin/seeds" corpus "$seeds" "${args[@]}"
  for target in "${targets[@]}"; do
    rm -rf "${corpus:?}/$target"
    mkdir -p "$corpus/$target"
    "$bin/$target" -set_cover_merge=1 -max_len="$(length_max "$target")" \
      "$corpus/$target" "$seeds/$target" >"$out/$target.log" 2>&1 ||
      die "$target: the seeds fail; see $out/$target.log"
    say "fuzz: $target: $(find "$corpus/$target" -type f | wc -l) seeds"
  done
  "$bin/seeds" check "$corpus"
}

all=(vet vet_argv profile frame)
build
if [ "${1:-}" = --corpus ]; then
  targets=("${all[@]}")
  make_corpus
  exit
fi
targets=("$@")
[ $# -gt 0 ] || targets=("${all[@]}")
"$bin/seeds" check "$corpus"
failed=0 running=0
for target in "${targets[@]}"; do
  if [ "$running" -ge "$jobs" ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
  fuzz "$target" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit "$failed"

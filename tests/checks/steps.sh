# Steps with one line of result each, which may run beside each other, and their logs.

set -m  # each lane is a process group of its own, so that it can be ended as a whole
logs=$PWD/test-results/checks
rm -rf "$logs" && mkdir -p "$logs"
lanes=()

# run NAME COMMAND…: run a command, keep its output in a log, and print the result, the seconds, and those of the processor,
# which other work on the machine does not change.
run() {
  local name=$1 began=$SECONDS result="ok" log used
  log=$logs/$(tr -cs 'A-Za-z0-9.\n' '-' <<<"$name").log
  shift
  local TIMEFORMAT='%U %S'
  { time "$@" >"$log" 2>&1 </dev/null; } 2>"$log.time" || result="FAILED"
  used=$(awk 'END { printf "%d", $1 + $2 }' "$log.time")
  rm "$log.time"
  printf '%-6s %4d s %4d s CPU  %s\n' "$result" $((SECONDS - began)) "$used" "$name"
  [ "$result" = ok ] || { echo "$log" >>"$logs/failed"; return 1; }
}

# lane FUNCTION…: run a function in the background.
lane() {
  ( trap 'exit 130' INT TERM; "$@" ) &
  lanes+=($!)
}

# join: wait for all lanes.
join() {
  local pid
  for pid in "${lanes[@]}"; do wait "$pid" || true; done
  lanes=()
}

# lanes_of COUNT COMMAND…: run commands in this order, so many at a time: the last ones fill what the long ones leave.
lanes_of() {
  local free=$1 each
  shift
  for each in "$@"; do
    if [ "$free" = 0 ]; then wait -n || true; else free=$((free - 1)); fi
    lane $each
  done
  join
}

# need FUNCTION…: run steps without which the others make no sense. In lanes, for bash itself to hear of signals.
need() {
  lanes_of $# "$@"
  [ ! -e "$logs/failed" ] || report
}

# report: print the ends of the logs of what failed, then its names; exit 1 if there is any.
report() {
  [ -e "$logs/failed" ] || { printf '\nAll checks passed after %d s.\n' "$SECONDS"; exit 0; }
  local log
  while read -r log; do
    printf '\n== %s\n' "${log#"$PWD/"}"
    tail -n 150 "$log"
  done <"$logs/failed"
  printf '\nFailed after %d s:\n' "$SECONDS"
  while read -r log; do
    printf '  %s\n' "${log#"$PWD/"}"
    grep -E '^(FAILED|ERROR) ' "$log" | cut -c1-200 | sed 's/^/    /' || true
  done <"$logs/failed"
  exit 1
}

# end_lanes: end what still runs. An interrupt lets pytest stop the servers and browsers that its tests have started;
# what is left after that, in whatever session, is known by a variable of its environment.
export BGSTREAM_CHECK=$$
end_lanes() {
  local status=$? pid left
  trap - EXIT INT TERM
  for pid in "${lanes[@]}"; do kill -INT -- "-$pid" 2>/dev/null || true; done
  for ((left = 150; left > 0; left--)); do
    for pid in "${lanes[@]}"; do
      if kill -0 -- "-$pid" 2>/dev/null; then sleep 0.1; continue 2; fi
    done
    break
  done
  for pid in "${lanes[@]}"; do kill -KILL -- "-$pid" 2>/dev/null || true; done
  for pid in $(grep -lsz "^BGSTREAM_CHECK=$$\$" /proc/[0-9]*/environ | tr -dc '0-9\n'); do
    [ "$pid" = $$ ] || kill -KILL "$pid" 2>/dev/null || true
  done
  exit "$status"
}
trap end_lanes EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

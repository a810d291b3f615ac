#!/bin/bash
# replay.sh PROGRAM...: gives each (OUT/replay/fuzz_FOLDER_WHAT) the inputs in tests/data/fuzz/FOLDER_WHAT/, one process
# for each target. Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for program; do
    what=$(basename "$program")
    what=${what#fuzz_}
    if [ ! -d "tests/data/fuzz/$what" ]; then
        echo "not ok - $what has no inputs in tests/data/fuzz/$what"
        failed=$((failed + 1))
    elif timeout 300 "$program" "tests/data/fuzz/$what" >"$log" 2>&1; then
        passed=$((passed + 1))
    else
        tail -n 40 "$log"
        echo "not ok - $what: the last file above is the one"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

#!/bin/sh
# run-unit.sh FILTER PROGRAM...: runs cmocka programs, prints failures whole and one line for each program that
# passed; cases that skip themselves are counted apart. Ends with "N passed, N failed". MODE=valgrind runs them under valgrind.
set -u
filter=$1
shift
# Mounts, owners and containers need root; SUDO=no: goes on without, and the cases that need it fail or are skipped.
if [ "$(id -u)" -ne 0 ] && [ "${SUDO:-}" != no ] && command -v sudo >/dev/null; then
    echo "some unit tests need root: going on by sudo (SUDO=no: without)"
    exec sudo MODE="${MODE:-}" ASAN_OPTIONS="${ASAN_OPTIONS:-}" UBSAN_OPTIONS="${UBSAN_OPTIONS:-}" "$0" "$filter" "$@"
fi
wrap=
[ "${MODE:-}" = valgrind ] && wrap='valgrind -q --leak-check=full --error-exitcode=99'
passed=0 failed=0 skipped=0
log=$(mktemp)
for program in "$@"; do
    # shellcheck disable=SC2086
    CMOCKA_MESSAGE_OUTPUT=TAP SHALE_TEST_FILTER=$filter $wrap "$program" >"$log" 2>&1
    status=$?
    skip=$(grep -Ec '^(not )?ok .*# SKIP' "$log") ok=$(grep '^ok ' "$log" | grep -vc '# SKIP')
    bad=$(grep '^not ok ' "$log" | grep -vc '# SKIP')
    if [ $status -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    if [ "$((ok + skip))" -eq 0 ] && [ "$bad" -eq 0 ] && [ -z "$filter" ]; then bad=1; echo "$program ran no test"; fi
    if [ "$bad" -gt 0 ]; then
        echo "== $program (status $status)"
        cat "$log"
    else
        note=
        [ "$skip" -gt 0 ] && note=" ($skip skipped)"
        echo "ok $ok ${program##*/}$note"
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
done
rm -f "$log"
[ "$skipped" -gt 0 ] && echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

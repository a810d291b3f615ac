#!/bin/bash
# run-all.sh: every test, one part after the other, and their sum as the last line: "N passed, N failed".
#
#   MODE, OUT, CC   as for make; CI=true makes warnings errors
#   PARTS           which parts (default: all of them, in the order below)
#   CORPORA         the folder with the test data of others (default: the Makefile's)
set -u
cd "$(dirname "$0")/.." || exit 1
MODE=${MODE:-}
OUT=${OUT:-out${MODE:+/$MODE}}
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mk() {
    make --no-print-directory MODE="$MODE" OUT="$OUT" ${CC:+CC="$CC"} ${CI:+WERROR=1} "$@"
}

build() { mk -j"$(nproc)" all; }
check_deps() { mk check-deps; }
check_headers() { mk check-headers; }
unit() { mk -j"$(nproc)" unit; }
# Where isa-l does gzip, the way through zlib is tested as well.
unit_zlib() { mk -j"$(nproc)" ISAL= OUT="$OUT/zlib" unit T=base_compress; }
# What fuzzing found once.
replay() { mk -j"$(nproc)" replay; }
cli() { mk test-cli; }
e2e() { mk test-e2e; }
# Says so, and passes, where the test data of others is not here.
conformance() { mk conformance ${CORPORA:+CORPORA="$CORPORA"}; }

# A part that counts itself ends with "N passed, N failed"; any other is one test, of itself.
part() {
    local name=$1 status sum
    echo "== ${name//_/-}"
    "$name" 2>&1 | tee "$log" | sed -E 's/^([0-9]+ passed, [0-9]+ failed)$/'"${name//_/-}"': \1/'
    status=${PIPESTATUS[0]}
    sum=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
    if [ -n "$sum" ]; then
        passed=$((passed + ${sum%% *}))
        sum=${sum#*, }
        failed=$((failed + ${sum%% *}))
        # A part may break where it does not count.
        [ "$status" -eq 0 ] || [ "${sum%% *}" -gt 0 ] || failed=$((failed + 1))
    elif [ "$status" -eq 0 ]; then
        passed=$((passed + 1))
    else
        echo "not ok - ${name//_/-} (status $status)"
        failed=$((failed + 1))
    fi
}

all="build check_deps check_headers unit replay cli e2e conformance"
if pkg-config --exists libisal; then
    all=${all/unit/unit unit_zlib}
else
    echo "not here: libisal (package libisal-dev, optional); gzip is tested with zlib alone"
fi
for name in ${PARTS:-$all}; do
    part "$name"
    # Without a program there is nothing to test.
    [ "$name" != build ] || [ $failed -eq 0 ] || break
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]

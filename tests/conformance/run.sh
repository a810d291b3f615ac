#!/bin/bash
# run.sh CORPORA [NN...]: runs shale over test data that others wrote, which is not part of this tree: CORPORA is the
# folder that holds it. One runner a corpus, NN_WHAT.* for the folder CORPORA/NN-*; with NN only those. A corpus that
# is not there is said and not counted. Ends with "N passed, N failed".
#
#   SHALE   the program (default: out/shale)
set -u
cd "$(dirname "$0")/../.." || exit 1
corpora=${1:?the folder with the corpora}
shift
SHALE=$(realpath -m "${SHALE:-out/shale}")
export SHALE PYTHONDONTWRITEBYTECODE=1
[ -x "$SHALE" ] || { echo "no program '$SHALE'"; echo "0 passed, 1 failed"; exit 1; }
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

run() { # run RUNNER FOLDER
    local name sum status start=$SECONDS
    name=$(basename "${1%.*}")
    "$1" "$2" 2>&1 | tee "$log" | sed -E '/^[0-9]+ passed, [0-9]+ failed$/d'
    status=${PIPESTATUS[0]}
    sum=$(tail -n 1 "$log" | grep -E '^[0-9]+ passed, [0-9]+ failed$') || { sum="0 passed, 1 failed"; status=1; }
    echo "$name: $sum ($((SECONDS - start)) s)"
    passed=$((passed + ${sum%% *}))
    sum=${sum#*, }
    failed=$((failed + ${sum%% *}))
    [ "$status" -eq 0 ] || [ "${sum%% *}" -gt 0 ] || failed=$((failed + 1))
}

if [ ! -d "$corpora" ]; then
    echo "not here: the corpora (no folder '$corpora'); say CORPORA=FOLDER"
    echo "0 passed, 0 failed"
    exit 0
fi
for runner in tests/conformance/[0-9][0-9]_*; do
    number=$(basename "$runner" | cut -c1-2)
    [ $# -eq 0 ] || [[ " $* " == *" $number "* ]] || continue
    for folder in "$corpora/$number"-*; do
        if [ -d "$folder" ]; then
            run "$runner" "$folder"
        else
            echo "not here: corpus $number"
        fi
    done
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]

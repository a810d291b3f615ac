# A step is reused only where running it would give the same: commands times edits, each against an untraced run.
# TRACE_COMMANDS, TRACE_EDITS and TRACE_SEED say how many and which (make trace-truth has all); a failure prints how to have it again.
# Each run of the tests has the same ones: what is wrong then is of the change, not of the draw.
# shellcheck shell=bash

t_what_a_step_is_reused_for_is_what_running_it_gives() {
    local commands=36 edits=40
    case $SHALE in */asan/* | */tsan/* | */valgrind/*) commands=20 edits=12 ;; esac
    needs make
    needs gcc
    python3 -B "$PROJECT/tests/trace/harness.py" "$SHALE" "$W/tmp" "${TRACE_COMMANDS:-$commands}" "${TRACE_EDITS:-$edits}" \
        "${TRACE_SEED:-1}"
}

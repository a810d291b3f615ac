#!/bin/sh
# check-deps.sh FOLDER:"USES..."...: an #include "folder/x.h" may only name the folder itself or one it uses.
set -u
bad=0
for row in "$@"; do
    folder=${row%%:*} uses=" ${row#*:} ${row%%:*} "
    for file in "$folder"/*.[ch]; do
        [ -e "$file" ] || continue
        grep -n '^#include "' "$file" | sed 's/^\([0-9]*\):#include "\([^"]*\)".*/\1 \2/' |
        while read -r line path; do
            from=${path%%/*}
            [ "$from" != "$path" ] || { echo "$file:$line: '$path' is not written from the root"; continue; }
            case $uses in *" $from "*) ;; *) echo "$file:$line: $folder/ may not include from $from/" ;; esac
        done
    done
done >"${TMPDIR:-/tmp}/check-deps.$$"
cat "${TMPDIR:-/tmp}/check-deps.$$"
[ ! -s "${TMPDIR:-/tmp}/check-deps.$$" ] || bad=1
rm -f "${TMPDIR:-/tmp}/check-deps.$$"
exit $bad

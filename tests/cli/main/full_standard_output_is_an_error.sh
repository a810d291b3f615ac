shale version >/dev/full

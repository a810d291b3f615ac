on_terminal 24 80 "$SHALE" build --load=false -o - . | tr -d '\r'
exit "${PIPESTATUS[0]}"

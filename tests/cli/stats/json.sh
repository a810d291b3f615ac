shale stats --json | jq -c 'to_entries | map(.value) | add'
counted trace.runs 12 trace.reused_ms 93214
shale stats --json

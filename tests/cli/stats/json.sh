shale stats --json | jq -c '.version, (del(.version) | add)'
counted trace.runs 12 trace.reused_ms 93214
shale stats --json

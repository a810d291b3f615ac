shale stats >/dev/null
counted trace.runs 12 trace.requests 4812 trace.reused 7 trace.reused_ms 93214 trace.missed 3 trace.not_reproducible 1
shale stats

shale stats >/dev/null
counted trace.reused 1 trace.sideways 5 "$(printf 'odd\nname')" 6
shale stats | sed -n '1p; 4p; 13,$p'
shale stats --json | jq -c '[.["trace.sideways"], .["odd\nname"], .["trace.unsound"]]'

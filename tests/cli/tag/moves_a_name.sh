base alpha
id=$(shale images -q --no-trunc alpha)
shale tag alpha beta:1
shale tag "$id" gamma
short=${id#sha256:}
shale tag "${short:0:12}" delta
shale images --format json | jq -r '.Repository + ":" + .Tag' | sort

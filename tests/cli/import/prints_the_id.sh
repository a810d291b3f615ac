layer_tar x.tar
shale import x.tar x | grep -cE '^sha256:[0-9a-f]{64}$'
shale import - <x.tar | grep -cE '^sha256:[0-9a-f]{64}$'
gzip -k x.tar && shale import x.tar.gz y >/dev/null && shale images --format json | jq -r .Repository | sort

base base:1
shale push nosuch:1
shale push nosuch
shale push -q nosuch
shale push -a nosuch
shale push -a base:1
shale push "base@sha256:$(printf '%064d' 0)"
shale push UPPER
shale push

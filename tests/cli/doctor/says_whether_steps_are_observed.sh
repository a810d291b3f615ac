shale doctor | sed -n 's/^\(.* trace .* FUSE 7\)\..*/\1/p'
shale doctor | grep -c ' trace '

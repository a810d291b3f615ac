shale help build >a; shale help buildx build >b; shale build -h >c
cmp a b && cmp a c

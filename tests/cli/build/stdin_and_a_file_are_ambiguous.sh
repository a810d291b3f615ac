echo FROM scratch | shale build -f x -

shale buildx build a b

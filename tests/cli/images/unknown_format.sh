shale images --format '{{.ID}}'

base alpha:1
shale tag alpha:1 localhost:5000/beta/gamma:2
shale images | sed -E 's/[0-9a-f]{12}/<shortid---->/; s/(Less than a second|1 second|[0-9]+ seconds) ago */AGO  /; s/CREATED +/CREATED  /'

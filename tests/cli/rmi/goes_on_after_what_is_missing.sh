base alpha
shale rmi nosuch alpha

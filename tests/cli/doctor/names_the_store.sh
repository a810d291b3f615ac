shale doctor | grep store

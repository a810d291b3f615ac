shale help frobnicate

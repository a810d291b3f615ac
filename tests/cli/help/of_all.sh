shale help

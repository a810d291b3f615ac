echo >file; shale build file

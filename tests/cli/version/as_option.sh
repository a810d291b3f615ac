shale --version; shale -v

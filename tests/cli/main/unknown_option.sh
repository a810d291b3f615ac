shale --frobnicate build .

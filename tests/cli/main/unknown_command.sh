shale frobnicate

echo >file
shale --root "$PWD/file" doctor

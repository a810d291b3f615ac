SHALE_ROOT=$PWD/new shale explain

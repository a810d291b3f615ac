shale build . -qt

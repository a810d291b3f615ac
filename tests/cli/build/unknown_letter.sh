shale build -zq .

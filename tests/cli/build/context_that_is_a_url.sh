shale build https://example.com/x.git

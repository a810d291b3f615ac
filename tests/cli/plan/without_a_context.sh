shale plan

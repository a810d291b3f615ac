shale build --call=subrequests.describe .
shale build --call=subrequests.describe,format=json .

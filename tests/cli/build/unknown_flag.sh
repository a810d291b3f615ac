shale build --foo .

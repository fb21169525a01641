"""Tasks: they change something, by the engine or beside it. They ask nothing of `questions`."""

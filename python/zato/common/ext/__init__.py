"""Extensions of other packages."""

"""Steps that change the content or the log-mel of a conversion after its voice embedding is known."""

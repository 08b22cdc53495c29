"""The page of `facevc serve`: what it does (studio), how it looks (page, views), and which requests it accepts (server, guard)."""

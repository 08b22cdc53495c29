"""The page of `facevc serve`: what it does (studio), how it looks (page, views) and where it listens (server)."""

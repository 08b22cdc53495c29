"""The page of `facevc serve`: what it does (studio), how it looks (page, views), and what it accepts (guard)."""

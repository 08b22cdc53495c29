"""Array to array: log-mel, F0, faces and voices. Nothing here opens a user's file."""

"""The two small networks beside dlib's that look at a face."""

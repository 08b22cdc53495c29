"""Files in and out: audio, images, video, tables, stores, checkpoints. Everything written appears only when complete."""

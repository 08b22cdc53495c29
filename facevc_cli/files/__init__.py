"""Audio, pictures, videos, tables and hashes. Everything written appears only when complete."""

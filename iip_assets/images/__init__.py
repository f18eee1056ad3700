"""Image files: bytes by md5, decoding, fitting into a frame, contact sheets."""

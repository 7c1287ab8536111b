"""SHA-256 without OpenSSL: `hashlib` loads it, which takes a third of the hook's time."""

from __future__ import annotations


def sha256_hex(data: bytes) -> str:
    """64 lower-case hex digits."""
    for name in ("_sha2", "_sha256"):  # from Python 3.12 on, and before
        try:
            made = __import__(name).sha256(data)
        except (ImportError, AttributeError):
            continue
        return str(made.hexdigest())
    import hashlib

    return hashlib.sha256(data).hexdigest()


def text_digest(text: str) -> str:
    """Of a text's UTF-8 bytes; half a surrogate pair counts as it came."""
    return sha256_hex(text.encode(errors="surrogatepass"))

"""What `sortnet certify` found, as one HTML page that needs nothing else: `write_page`."""

from .page import Source, write_page

__all__ = ["Source", "write_page"]

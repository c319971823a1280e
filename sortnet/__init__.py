"""sortnet: networks that carry their own l-infinity robustness certificate."""

from pkgutil import extend_path

# Running `python -m pytest` in the repository root puts ./sortnet first; the installed parts
# (sortnet.theory, sortnet.export, sortnet/lib) are then found through the extended path.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"

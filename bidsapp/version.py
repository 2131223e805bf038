"""The version of the app, read by the package, the outputs and the image."""

__version__ = "0.1.0"

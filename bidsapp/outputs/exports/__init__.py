"""Zips for reviewers and archives, made from finished results (docs/exports.md)."""

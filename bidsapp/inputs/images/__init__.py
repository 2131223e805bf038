"""Readers of images: one volume, a series, a stack of subjects on one grid."""

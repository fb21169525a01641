"""Declare: the pipeline file, the settings and the catalogue of functions, read strictly."""

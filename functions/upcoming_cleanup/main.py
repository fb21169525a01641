"""Removes rows about dates more than 7 days ago from the tables about the days to come; daily, after a backup."""

from gapless.functions.upcoming_cleanup import upcoming_cleanup

__all__ = ["upcoming_cleanup"]

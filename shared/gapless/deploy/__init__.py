"""What brings the functions to Google Cloud, and what calls them there afterwards. Not deployed itself."""

"""What ``trackrelay forget`` prints."""

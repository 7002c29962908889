"""What a request or a job does on another machine."""

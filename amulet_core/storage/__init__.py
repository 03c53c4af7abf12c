"""What is kept on disk between runs, under the content hash of all that it is a function of. Light."""

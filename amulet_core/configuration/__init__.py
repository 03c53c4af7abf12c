"""From a file to a request in which every name is resolved and every parameter checked. Light."""

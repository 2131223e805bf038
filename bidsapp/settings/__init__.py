"""Every choice that a user has: how it is named, read, checked and shown."""

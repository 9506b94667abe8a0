"""Joint padding modes: index maps of all spatial axes at once, in every operation, and what is refused."""

"""Plugins that bring compiled functions: who may write them, what they are called with, and how they fail."""

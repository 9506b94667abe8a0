"""What reviewers of the networks found: each stays mended."""

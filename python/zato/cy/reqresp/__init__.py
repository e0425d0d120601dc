"""Classes of responses."""

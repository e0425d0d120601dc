"""What services and their connections are made of."""

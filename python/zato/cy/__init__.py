"""Native classes of the 3.x line, as far as services import them."""

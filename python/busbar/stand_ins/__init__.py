"""Stand-ins for libraries that service files import and that need not be installed. Only those files ever see them."""

"""Parts that the servers of this room share: host names, headers, limits of rate."""

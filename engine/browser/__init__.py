"""Static pages whose network runs in the visitor's browser."""

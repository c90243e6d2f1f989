"""Networks that several systems use."""

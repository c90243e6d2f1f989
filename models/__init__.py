"""Networks and vector stores shared by several systems."""

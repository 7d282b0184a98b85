"""Federated rounds through the real images, and what came of them."""

"""Providers speak to models: one request in, one reply out, whatever the vendor."""

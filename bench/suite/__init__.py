"""Sterna's bench: Sterna and its peers on the same work, side by side (see bench/README.md)."""

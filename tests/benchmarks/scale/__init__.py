"""What many roots, messages and consumers cost the server; for `make bench-scale`."""

"""OCI layouts, image configs, tars and registries, with the standard library only."""

"""One TOML file for each published study, the demo, and the loader that checks them."""

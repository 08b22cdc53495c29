"""The tabs of the page: one file each, which registers itself with `register_tab`."""

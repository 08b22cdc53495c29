"""The HDF5 store, the extraction loop, pairing and crops."""

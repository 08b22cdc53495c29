"""YAML presets: each holds only what differs from the defaults in `facevc_cli.families.fvmvc.config`."""

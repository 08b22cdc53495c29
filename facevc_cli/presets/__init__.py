"""YAML presets: each states settings that differ from the defaults in `facevc_cli.families.fvmvc.config`."""
